"""The rows of the studio's table: how each is measured. `bench/studio.py` prints them."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kit.studio_bench import Measured, StudioBench
from kit.studio_times import counted_requests, event_time
from studio_networks import odd_file
from studio_page import OPERANDS, StudioPage

STARTS, EXPORTS, IMAGES = 5, 3, 20
SOURCE = Path(__file__).parents[2] / "src" / "convscope"
EXPORT_LIMIT, WHEEL_LIMIT, MEMORY_LIMIT = 3.0, 1.0, 150.0
LAYER = "layer2.0.conv2"  # of ResNet-50: 128 maps of 28x28
LARGE = ("layer1.0.conv3", "layer1.1.conv3", "layer1.2.conv3", "conv1", "layer1.0.conv1", "layer1.1.conv1")


def starts(bench: StudioBench) -> Iterator[Measured]:
    """Measure from the command to the shell of the page, and to a page that can be used."""
    shells, usable, early = [], [], True
    for _ in range(STARTS):
        began = time.monotonic()
        with bench.studio() as studio, bench.page(studio) as page:
            page.page.goto(studio.address + "#/explore?v=1&m=resnet18&i=sample:0", wait_until="commit")
            page.page.wait_for_function("() => document.querySelector('#app')?.childElementCount > 0")
            shells.append(1000 * (time.monotonic() - began))
            early &= not studio.compute_processes()
            page.rest()
            usable.append(1000 * (time.monotonic() - began))
    note = "before torch is imported" if early else "torch was there first"
    yield Measured(name="command to shell of the page", asked=1000, numbers=shells, note=note)
    yield Measured(name="command to usable, ResNet-18", asked=4000, numbers=usable)


def images(bench: StudioBench) -> Iterator[Measured]:
    """Measure a new image: the prediction with the first layer's maps, and all layers' maps."""
    for model, title, asked in (
        ("resnet50", "ResNet-50 224", 400),
        ("vgg16", "VGG-16 224", 1000),
        ("unet", "U-Net 512", 1500),
    ):
        with bench.opened(model) as page:
            found = page.page.evaluate(
                """async ([model, count]) => {
                  const graph = bench.json(await bench.ask(`/api/graph/${encodeURIComponent(model)}`));
                  const values = graph.units.filter((unit) => unit.value).map((unit) => unit.value);
                  const first = [], all = [];
                  for (let number = 0; number <= count; number += 1) {
                    const interventions = [{ op: "shift", dy: number + 1, dx: -number }];
                    const began = performance.now();
                    const asked = { model, image: "sample:1", interventions };
                    const { run } = bench.json(await bench.ask("/api/run", asked));
                    const maps = (value) => bench.ask(`/api/run/${run}/maps/${encodeURIComponent(value)}?size=64`);
                    await maps(values[0]);
                    const shown = performance.now() - began;
                    await Promise.all(values.map(maps));
                    if (number) { first.push(shown); all.push(performance.now() - began); }
                  }
                  return { first, all, layers: values.length, input: graph.input };
                }""",
                [model, IMAGES],
            )
        note = f"{found['layers']} values, input {'×'.join(map(str, found['input']))}"
        if model == "resnet50":
            name = f"{title}: new image to prediction and first layer"
            yield Measured(name=name, asked=150, numbers=found["first"], note=note)
        yield Measured(name=f"{title}: new image to all layers ready", asked=asked, numbers=found["all"], note=note)


def layers(bench: StudioBench) -> Iterator[Measured]:
    """Measure how a layer of a run that is there opens, and how its colours and its scale change."""
    with bench.opened("resnet50", l=LAYER) as page:

        def change(**state: object) -> float | None:
            kept = {**page.state, **state}
            link = "#/explore?" + "&".join(f"{key}={quote(str(value), safe=':,;/@')}" for key, value in kept.items())
            go = "(link) => { location.hash = link; }"
            return event_time(page.page, "hashchange", "rest", lambda: page.page.evaluate(go, link))

        opened = [change(l=LARGE[number % len(LARGE)], page=number % 4) for number in range(bench.events)]
        page.explore(m="resnet50", i="sample:0", l=LAYER)
        with counted_requests(page.page) as requests:
            ways = [{"map": "viridis"}, {"scale": "network"}, {"map": "grey"}, {"scale": "layer"}, {"scale": "map"}]
            changed = [change(**ways[number % len(ways)]) for number in range(bench.events)]
    yield Measured(name="open a loaded layer to painted", asked=60, numbers=kept(opened), note="64 maps, up to 0.2 MB")
    note = f"{len(requests)} requests{': ' + requests[0][-60:] if requests else ''}"
    yield Measured(name="change of colour or scale", asked=16, numbers=kept(changed), note=note)


def hovers(bench: StudioBench) -> Iterator[Measured]:
    """Measure moves of the pointer over a map until the hull is lit, without a request; then the exact field."""
    with bench.opened("resnet50", l=LAYER, at="14,14", c=0) as page:
        times, requests = hover_times(page, bench.events)
    note = f"{requests} requests"
    yield Measured(name="hover to hull lit", asked=20, numbers=times, note=note)
    for model, title in (("resnet50", "ResNet-50"), ("googlenet", "GoogLeNet"), ("densenet121", "DenseNet-121")):
        with bench.opened(model) as page:
            found = cells_of_all(page, model, bench.events, "field")
        yield Measured(name=f"exact field of a cell, {title}", asked=150, numbers=found, note="any layer")


def hover_times(page: StudioPage, events: int, side: int = 28) -> tuple[list[float], int]:
    """Return the times of moves of the pointer over the first map, and how many requests they caused."""
    box = map_box(page)
    draw = random.Random(0)
    times = []
    with counted_requests(page.page) as requests:
        for number in range(events):
            y, x = (number * 5) % side, draw.randrange(side)
            at = box["x"] + (x + 0.5) * box["width"] / side, box["y"] + (y + 0.5) * box["height"] / side
            times.append(event_time(page.page, "pointermove", "lit", lambda at=at: page.page.mouse.move(*at)))
    return kept(times), len([url for url in requests if "/field/" not in url])


def map_box(page: StudioPage) -> Any:
    """Return where the first map is on the screen."""
    first = page.map(page.channels[0]).first
    first.scroll_into_view_if_needed()
    box = first.bounding_box()
    assert box is not None, "no map is shown"
    return box


def cells_of_all(page: StudioPage, model: str, events: int, operation: str) -> list[float]:
    """Return the times of a question about random cells of every value in turn."""
    found: list[float] = page.page.evaluate(
        """async ([model, events, operation]) => {
          const graph = bench.json(await bench.ask(`/api/graph/${encodeURIComponent(model)}`));
          const run = bench.json(await bench.ask("/api/run", { model, image: "sample:0", interventions: [] })).run;
          const units = graph.units.filter((unit) => unit.value && unit.shape);
          const times = [];
          for (let number = 0; number < events + 10; number += 1) {
            const unit = units[(number * 7) % units.length];
            const place = (size, factor) => (number * factor) % Math.max(size ?? 1, 1);
            const at = `${place(unit.shape[1], 13)},${place(unit.shape[2], 29)}`;
            const path = `/api/run/${run}/${operation}/${encodeURIComponent(unit.value)}`;
            const taken = await bench.timed(`${path}?c=${place(unit.shape[0], 31)}&at=${at}`);
            if (number >= 10) times.push(taken);
          }
          return times;
        }""",
        [model, events, operation],
    )
    return found


def numbers(bench: StudioBench) -> Iterator[Measured]:
    """Measure a click on a cell until its arithmetic is shown, and one step into an operand."""
    with bench.opened("resnet50", l=LAYER) as page:
        yield Measured(name="click to worked arithmetic", asked=100, numbers=click_times(page, bench.events))
        steps = []
        for number in range(bench.events):
            operand = page.page.locator(OPERANDS).first
            if not operand.count():
                page.explore(m="resnet50", i="sample:0", l=LAYER, c=number % 64, at=f"{number % 28},{number % 28}")
            steps.append(event_time(page.page, "click", "cell", operand.click))
            page.rest()
        yield Measured(name="one step into an operand", asked=50, numbers=kept(steps))
        found = cells_of_all(page, "resnet50", bench.events, "cell")
    yield Measured(name="worked arithmetic, every layer in turn", asked=100, numbers=found, note="conv1 among them")


def click_times(page: StudioPage, events: int, side: int = 28) -> list[float]:
    """Return the times of clicks on cells of the first map until their arithmetic is shown."""
    times = []
    for number in range(events):
        box = map_box(page)
        y, x = (number * 5 + 3) % side, (number * 11) % side
        at = box["x"] + (x + 0.5) * box["width"] / side, box["y"] + (y + 0.5) * box["height"] / side
        times.append(event_time(page.page, "click", "cell", lambda at=at: page.page.mouse.click(*at)))
        page.rest()
    return kept(times)


def beside_training(bench: StudioBench) -> Iterator[Measured]:
    """Measure hover and click while a training runs on all cores, against the same without it."""
    count = max(bench.events // 2, 20)
    with bench.opened("resnet50", l=LAYER, at="14,14", c=0) as page:
        alone = hover_times(page, count)[0], click_times(page, count)
        with training_of(bench, "beside"):
            page.explore(m="resnet50", i="sample:0", l=LAYER, at="14,14", c=0)
            beside = hover_times(page, count)[0], click_times(page, count)
    for name, before, after in zip(("hover", "click to arithmetic"), alone, beside, strict=True):
        row = Measured(name=f"{name} beside a training, times as long", asked=2.5, unit="×", by="max")
        slow, fast = Measured(name="", asked=None, numbers=after).p95, Measured(name="", asked=None, numbers=before).p95
        row.numbers = [slow / fast] if slow and fast else []
        row.note = f"p95 {fast or 0:.0f} and {slow or 0:.0f} ms"
        yield row


@contextmanager
def training_of(bench: StudioBench, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Train LeNet-5 on the digits, on all cores, from its first epoch until the end of the block."""
    training = subprocess.Popen(
        [sys.executable, "-m", "convscope", "train", "digits", "--model", "lenet5", "--epochs", "10000",
         "--runs", str(bench.folder / "runs"), "--name", name],
        cwd=bench.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        metrics = bench.folder / "runs" / name / "metrics.csv"
        until = time.monotonic() + 60
        while not metrics.is_file() and time.monotonic() < until and training.poll() is None:
            time.sleep(0.2)
        assert training.poll() is None, "the training ended"
        yield training
    finally:
        training.terminate()
        with suppress(subprocess.TimeoutExpired):
            training.wait(10)
        training.kill()


def live(bench: StudioBench) -> Iterator[Measured]:
    """Measure from an event that a training writes to the frame after it was received by the page of its run."""
    with bench.studio() as studio, bench.page(studio) as page, training_of(bench, "live") as training:
        page.go("#/train?v=1&run=live")
        found = page.page.evaluate(
            """async ([run, count, seconds]) => {
              const times = [];
              const source = new EventSource(`/api/runs/${run}/events`);
              await new Promise((done) => {
                setTimeout(done, 1000 * seconds);
                const began = Date.now();
                for (const name of ["epoch", "message", "state"]) {
                  source.addEventListener(name, async (event) => {
                    const written = 1000 * (JSON.parse(event.data).time ?? 0);
                    if (written < began) return;  // it was there before
                    await bench.changed(".train-room");
                    await bench.painted();
                    times.push(Date.now() - written);
                    if (times.length >= count) done();
                  });
                }
              });
              source.close();
              return times;
            }""",
            ["live", 40, 60],
        )
        assert training.poll() is None, "the training ended"
    yield Measured(
        name="live training: event to paint", asked=200, numbers=found, note="what it costs: bench/live_view.py"
    )


def large(bench: StudioBench) -> Iterator[Measured]:
    """Measure networks of 1,000 layers, 2,048 channels and 10,000 nodes: longest task, frames of scrolling, memory."""
    source = Path(bench.folder / "odd.py")
    for factory, title, selector in (
        ("Deep", "1,000 layers", "[role=tree]"),
        ("Thick", "2,048 channels", ".maps-body"),
        ("Huge", "10,000 nodes", "[role=tree]"),
    ):
        odd_file(bench.folder, "Deep")
        with source.open("a", encoding="utf-8") as file:
            file.write("\n\nclass Huge(Deep):\n    def __init__(self):\n        super().__init__(5000)\n")
        with bench.studio(f"odd.py:{factory}", "--input", "3x16x16") as studio, bench.page(studio) as page:
            page.page.set_default_timeout(180_000)
            page.explore(m="given", i="sample:0", **({"l": "conv"} if factory == "Thick" else {}))
            built = page.page.evaluate("() => bench.longest")
            frames = page.page.evaluate("([selector]) => bench.scroll(selector, 120)", [selector])
            page.page.evaluate("() => globalThis.gc?.()")
            session = page.page.context.new_cdp_session(page.page)
            session.send("Performance.enable")
            used = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        note = "the longest task of the page's thread (0: none over 50 ms)"
        yield Measured(name=f"{title}: build", asked=50, numbers=[built], by="max", note=note)
        yield Measured(name=f"{title}: frames while it scrolls", asked=20, numbers=frames)
        heap = used["JSHeapUsedSize"] / 1e6
        yield Measured(name=f"{title}: memory of the page", asked=MEMORY_LIMIT, numbers=[heap], unit="MB", by="max")


def exports(bench: StudioBench) -> Iterator[Measured]:
    """Measure one state as one file: its size, what it asks for, hover and a step in it at file://."""
    link = "#/explore?v=1&m=resnet18&i=sample:0&l=layer2.0.conv2&c=0&at=14,14&order=energy"
    sizes, times, path = [], [], bench.folder / "offline.html"
    with bench.opened("resnet18") as page:
        for _ in range(EXPORTS):
            began = time.monotonic()
            body = {"data": {"state": link}, "headers": {"x-convscope-tab": "bench", "origin": page.studio.origin}}
            response = page.page.context.request.post(f"{page.studio.origin}/api/export", **body, timeout=120_000)
            assert response.ok, response.text()[:200]
            path.write_bytes(response.body())
            times.append(1000 * (time.monotonic() - began))
            sizes.append(path.stat().st_size / 1e6)
        with bench.page(page.studio, offline=True) as alone:
            asked: list[str] = []
            alone.page.on("request", lambda request: asked.append(request.url))
            began = time.monotonic()
            alone.page.goto(path.as_uri())
            alone.rest()
            opened = 1000 * (time.monotonic() - began)
            hover = hover_times(alone, bench.events)[0]
            operand = alone.page.locator(OPERANDS).first
            step = event_time(alone.page, "click", "cell", operand.click)
    outside = [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
    yield Measured(name="export of one state: size", asked=EXPORT_LIMIT, numbers=sizes, unit="MB", by="max")
    yield Measured(name="export of one state: time", asked=None, numbers=times)
    note = f"{len(outside)} requests left it"
    yield Measured(name="offline page to usable", asked=None, numbers=[opened], note=note)
    yield Measured(name="offline page: hover to hull lit", asked=20, numbers=hover)
    note = "it steps into an operand" if step is not None else "it does not step"
    yield Measured(name="offline page: one step", asked=50, numbers=kept([step]), by="max", note=note)


def wheel(bench: StudioBench) -> Iterator[Measured]:
    """Measure what the studio adds to a wheel."""
    files = [*SOURCE.joinpath("studio").rglob("*"), SOURCE / "cli" / "studio.py"]
    sizes = [
        len(zlib.compress(one.read_bytes(), 6)) for one in files if one.is_file() and "__pycache__" not in str(one)
    ]
    yield Measured(name="the studio in the wheel", asked=WHEEL_LIMIT, numbers=[sum(sizes) / 1e6], unit="MB", by="max")


def sliders(bench: StudioBench) -> Iterator[Measured]:
    """Measure each chapter's sliders: from an input at the begin of a frame to the end of the last that it changes."""
    with bench.studio() as studio, bench.page(studio) as page:
        for chapter in range(1, 9):
            times: list[float] = []
            page.go(f"#/learn/{chapter}", rest=False)
            page.page.locator(f'article.chapter[data-chapter="{chapter}"] .widget').wait_for()
            for step in range(1, page.page.locator("li.step").count() + 1):
                page.go(f"#/learn/{chapter}?step={step}", rest=False)
                page.page.locator(f'.step[data-step="{step}"][data-current="true"]').wait_for()
                page.page.wait_for_function("() => !document.querySelector('.widget .spinner')")
                times += page.page.evaluate(SLIDES, bench.events // 4)
            if times:
                note = "a quarter of the events in each step"
                yield Measured(name=f"slider of chapter {chapter}", asked=20, numbers=times, note=note)


# Moves the sliders that can be seen in turn. What changes the page within three frames after the input counts.
SLIDES = """async (events) => {
  const times = [];
  let changed = false;
  const observer = new MutationObserver(() => { changed = true; });
  observer.observe(document.querySelector(".widget"), { subtree: true, childList: true, characterData: true });
  for (let turn = 0; turn < events; turn += 1) {
    const shown = [...document.querySelectorAll(".widget input[type=range]:enabled")];
    const sliders = shown.filter((slider) => slider.checkVisibility());
    if (!sliders.length) break;
    const slider = sliders[turn % sliders.length], step = Number(slider.step) || 1;
    const places = Math.floor((slider.max - slider.min) / step) + 1;
    await new Promise(requestAnimationFrame);
    const began = performance.now();
    slider.value = String(Number(slider.min) + (((turn + 1) * 7) % places) * step);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    const shownAt = await new Promise((done) => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => done(performance.now());
      channel.port2.postMessage(0);
    });
    let last = shownAt;
    for (let frame = 0; frame < 3; frame += 1) {
      changed = false;
      const at = await bench.painted();
      if (changed) last = at;
    }
    times.push(last - began);
  }
  observer.disconnect();
  return times;
}"""


def kept(times: Sequence[float | None]) -> list[float]:
    """Return the times of events that were followed by what was waited for."""
    return [one for one in times if one is not None]


ROWS: tuple[tuple[str, Callable[[StudioBench], Iterator[Measured]]], ...] = (
    ("starts", starts),
    ("images", images),
    ("layers", layers),
    ("hovers", hovers),
    ("numbers", numbers),
    ("beside a training", beside_training),
    ("live training", live),
    ("large networks", large),
    ("exports", exports),
    ("sliders", sliders),
    ("wheel", wheel),
)
