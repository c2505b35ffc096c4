/** One map of every layer between the image and the selected one. */
import { channelTable, mapScale, paintBytes, paintMap } from "convscope/atlas";
import { isCommand, made } from "convscope/elements";
import { cellAt, selectCell } from "convscope/focus";
import { boxOfCell, frame, light, register } from "convscope/light";
import { atlas } from "convscope/loading";
import { onTables, targets } from "convscope/reach";
import { changed, link, loaded, pending } from "convscope/store";
import { TEXT } from "convscope/strings";

const SLICE = 100;

export function createBetween() {
  const element = made("div", "between");
  element.setAttribute("role", "group");
  element.setAttribute("aria-label", TEXT.between);
  /** @type {Map<string, ReturnType<typeof make>>} */
  const thumbs = new Map();
  let [tables, graph, selected, run] = [null, null, "", ""];
  let filling;

  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      const thumb = thumbs.get(target.dataset.value ?? "");
      if (thumb) {
        thumb.seen = isIntersecting;
        if (!isIntersecting) continue;
        thumb.mark();
        fetchMap(thumb);
      }
    }
  }, { root: element, rootMargin: "200px" });
  onTables(() => changed());

  // One of them is reached by Tab: a network may have a thousand.
  element.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by || isCommand(event)) return;
    (by > 0 ? event.target.nextSibling : event.target.previousSibling)?.focus();
    event.preventDefault();
  });

  function choose(button, on) {
    button?.setAttribute("aria-current", String(on));
    if (button) button.tabIndex = on ? 0 : -1;
  }

  function make(value, unit) {
    const button = made("button", "thumb");
    button.tabIndex = -1;
    button.setAttribute("aria-current", "false");
    button.dataset.value = value;
    const picture = made("span", "picture");
    const canvas = made("canvas");
    const mark = made("span", "mark dim");
    picture.append(canvas, mark);
    button.append(picture, made("span", "name", unit.name || unit.label));
    const [, height = 1, width = 1] = unit.shape ?? [];
    if (unit.shape?.length === 3) picture.style.aspectRatio = `${Math.max(0.4, Math.min(2.5, width / height))}`;
    const thumb = { value, unit, button, canvas, channel: 0, seen: false, asked: "", height, width, end: () => {}, mark: () => {} };
    picture.addEventListener("pointermove", (event) => {
      const [y, x] = cellAt(event, picture, height, width);
      light({ kind: "cell", value, c: thumb.channel, y, x });
    });
    picture.addEventListener("pointerleave", () => light(null));
    button.addEventListener("click", (event) => {
      if (event.detail > 0) selectCell(value, thumb.channel, cellAt(event, picture, height, width));
      else selectCell(value, thumb.channel, [Math.floor(height / 2), Math.floor(width / 2)]);
    });
    thumb.end = register({
      value,
      light(box, now) {
        // Those out of sight are marked when they are seen: a network may have a thousand.
        thumb.mark = () => {
          const own = now?.kind === "cell" && now.value === value;
          frame(mark, own ? boxOfCell(now) : box, height, width);
        };
        if (thumb.seen) thumb.mark();
      },
    });
    return thumb;
  }

  /** Paint the strongest map of a layer. @param {ReturnType<typeof make>} thumb */
  async function fetchMap(thumb) {
    const id = loaded.run?.run;
    const asked = `${id}|${link().order}`;
    if (!id || pending.has("run") || pending.has("graph") || thumb.asked === asked) return;
    thumb.asked = asked;
    try {
      const vector = thumb.height * thumb.width === 1;
      const found = await atlas(id, thumb.value, link().order, 0, vector ? 256 : 1);
      if (thumb.asked !== asked) return;
      thumb.channel = found.channels[0] ?? 0;
      if (vector) paintVector(thumb.canvas, found);
      else paintMap(thumb.canvas, found, 0, "map", link().colours);
      thumb.button.setAttribute("aria-label", TEXT.thumb(thumb.unit.name || thumb.unit.label, thumb.channel));
    } catch {
      if (thumb.asked === asked) thumb.asked = ""; // it stays empty; the pane of maps says why where it is opened
    }
  }

  /** Put maps into the document, SLICE in a task: a network may have thousands. */
  function fill(values, from) {
    for (const name of values.slice(from, from + SLICE)) {
      const thumb = thumbs.get(name) ?? make(name, loaded.byValue.get(name));
      if (!thumbs.has(name)) {
        thumbs.set(name, thumb);
        watcher.observe(thumb.button);
      }
      if (name === selected) choose(thumb.button, true);
      element.append(thumb.button);
    }
    if (from + SLICE < values.length) filling = setTimeout(fill, 0, values, from + SLICE);
  }

  return {
    element,
    update() {
      const { value } = link();
      const found = targets();
      if (found !== tables || loaded.graph !== graph || value !== selected) {
        choose(thumbs.get(selected)?.button, false);
        [tables, graph, selected] = [found, loaded.graph, value];
        const wanted = new Set(found.map((target) => target.value));
        wanted.delete("input");
        wanted.add(value);
        for (const [name, thumb] of thumbs) {
          if (wanted.has(name) && thumb.unit === loaded.byValue.get(name)) continue;
          watcher.unobserve(thumb.button);
          thumb.end();
          thumb.button.remove();
          thumbs.delete(name);
        }
        clearTimeout(filling);
        fill([...loaded.byValue.keys()].filter((name) => wanted.has(name)), 0);
      }
      if (pending.has("run") || pending.has("graph")) return; // of the run before, until the next is there
      const now = `${loaded.run?.run}|${link().colours}|${link().order}`;
      if (now !== run) {
        run = now;
        for (const thumb of thumbs.values()) {
          thumb.asked = "";
          if (thumb.seen) fetchMap(thumb);
        }
      }
    },
  };
}

/** Paint a vector's numbers as a square of cells. @param {import("./atlas.js").Atlas} found */
function paintVector(canvas, found) {
  const count = found.channels.length;
  const side = Math.ceil(Math.sqrt(count));
  const scale = mapScale(found, 0, "layer", link().colours);
  const { lo, hi } = found.layer;
  const bytes = new Uint8Array(side * side);
  for (let i = 0; i < count; i += 1) bytes[i] = hi > lo ? Math.round(((found.lo[i] - lo) / (hi - lo)) * 255) : 0;
  paintBytes(canvas, bytes, side, side, channelTable(lo, hi, scale));
}

