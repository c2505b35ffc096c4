"""How long the studio's page takes from an event to the frame that shows what follows, measured in the page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

# A frame is shown when the task after its animation callbacks runs; an event's time is when the browser received it.
INSTRUMENTS = """
window.bench = {
  longest: 0,
  painted() {
    return new Promise((done) => requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => done(performance.now());
      channel.port2.postMessage(0);
    }));
  },
  lit() {
    const line = document.querySelector("#stage svg.lit .edge-line");
    return line ? ["x", "y", "width", "height"].map((name) => line.getAttribute(name)).join(" ") : "";
  },
  cell() {
    const head = document.querySelector(".number-head");
    return head && !head.querySelector(".spinner") && head.querySelector(".result") ? head.textContent : null;
  },
  atRest() {
    return Boolean(document.querySelector(".explore, .train-room > *")) &&
      !document.querySelector(".status .busy, .starting, [aria-busy=true]");
  },
  /** Wait until something in an element is drawn anew. */
  changed(selector) {
    return new Promise((done) => {
      const observer = new MutationObserver(() => { observer.disconnect(); done(); });
      const all = { subtree: true, childList: true, characterData: true, attributes: true };
      observer.observe(document.querySelector(selector) ?? document.body, all);
    });
  },
  /** Measure the next event of a type until a frame in which `shown` is another, or the page is at rest. */
  arm(type, until) {
    const before = until === "rest" ? null : this[until]();
    this.pending = new Promise((done) => addEventListener(type, async (event) => {
      for (let frames = 0; frames < 600; frames += 1) {
        const at = await this.painted();
        const now = until === "rest" ? this.atRest() || null : this[until]();
        if (now !== null && now !== before) return done(at - event.timeStamp);
      }
      return done(null);
    }, { capture: true, once: true }));
  },
  async ask(path, body) {
    const init = body === undefined ? {} : {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
    };
    const response = await fetch(path, { ...init, headers: { ...init.headers, "x-convscope-tab": "bench" } });
    const data = await response.arrayBuffer();
    if (!response.ok) throw new Error(`${path}: ${new TextDecoder().decode(data).slice(0, 200)}`);
    return data;
  },
  json(data) { return JSON.parse(new TextDecoder().decode(data)); },
  async timed(path, body) {
    const began = performance.now();
    await this.ask(path, body);
    return performance.now() - began;
  },
  /** The time between frames while something scrolls. */
  async scroll(selector, frames) {
    const found = document.querySelector(selector);
    const all = found ? [found, ...found.querySelectorAll("*"), found.parentElement] : [];
    const scrolls = (one) => getComputedStyle(one).overflowY !== "visible";
    const box = all.find((one) => one.scrollHeight > one.clientHeight + 4 && scrolls(one));
    if (!box) return [];  // all of it is in sight
    const step = Math.max((box.scrollHeight - box.clientHeight) / frames, 1);
    const times = [];
    let last = await this.painted();
    for (let frame = 0; frame < frames; frame += 1) {
      box.scrollTop = frame * step;
      const now = await this.painted();
      times.push(now - last);
      last = now;
    }
    return times;
  },
};
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.bench.longest = Math.max(window.bench.longest, entry.duration);
}).observe({ type: "longtask", buffered: true });
"""


def instrument(context: BrowserContext) -> None:
    """Put the instruments into all pages that the context opens from now on."""
    context.add_init_script(INSTRUMENTS)


def event_time(page: Page, kind: str, until: str, act: Any) -> float | None:
    """Return the milliseconds from an event that `act` causes to the frame that shows it; None where none does."""
    page.evaluate("([kind, until]) => { window.bench.arm(kind, until); }", [kind, until])
    act()
    found: float | None = page.evaluate("() => window.bench.pending")
    return found


@contextmanager
def counted_requests(page: Page) -> Iterator[list[str]]:
    """Count the requests that the page makes meanwhile; those for data: and blob: addresses are none."""
    found: list[str] = []

    def note(request: Any) -> None:
        # Chromium asks for the icon again after each change of the fragment.
        if request.url.startswith("http") and not request.url.endswith("icon.svg"):
            found.append(request.url)

    page.on("request", note)
    try:
        yield found
    finally:
        page.remove_listener("request", note)
