/** The selected map, large, with exact numbers and a readout. */
import { html, render } from "lit-html";
import { cssColour, endsOf, inkOn, mapScale, mapSize, paintMap, paintStrip } from "convscope/atlas";
import { isCommand, made } from "convscope/elements";
import { boxOfCell, frame, light, lit, register, watch } from "convscope/light";
import { go, link, loaded, view } from "convscope/store";
import { TEXT } from "convscope/strings";
import { number } from "convscope/units";

/** Return the cell under the pointer. */
export function cellAt(event, element, height, width) {
  const box = element.getBoundingClientRect();
  const y = Math.floor(((event.clientY - box.top) / box.height) * height);
  const x = Math.floor(((event.clientX - box.left) / box.width) * width);
  return [Math.max(0, Math.min(height - 1, y)), Math.max(0, Math.min(width - 1, x))];
}

/**
 * Light the field of the cell under the pointer, and select it with a click.
 * @param {() => {value: string, channel: number, height: number, width: number}|null} of
 */
export function pointable(element, of) {
  element.addEventListener("pointermove", (event) => {
    const map = of();
    if (!map) return;
    const [y, x] = cellAt(event, element, map.height, map.width);
    light({ kind: "cell", value: map.value, c: map.channel, y, x });
  });
  element.addEventListener("pointerleave", () => light(null));
  element.addEventListener("click", (event) => {
    const map = of();
    if (!map || event.detail === 0) return;
    selectCell(map.value, map.channel, cellAt(event, element, map.height, map.width));
  });
}

/** Work out a cell: the link names it from now on. */
export function selectCell(value, channel, at) {
  const now = link();
  view.trail = [];
  go({ value, channel, at, step: null, page: value === now.value ? now.page : 0 });
}

/** Return a map's cell after a key, or null where the key moves nothing. */
export function movedCell(event, [y, x], height, width) {
  const by = event.shiftKey ? 8 : 1;
  const moves = ({
    ArrowUp: [y - by, x], ArrowDown: [y + by, x], ArrowLeft: [y, x - by], ArrowRight: [y, x + by],
    Home: [y, 0], End: [y, width - 1],
  });
  const to = moves[event.key];
  return to ? [Math.max(0, Math.min(height - 1, to[0])), Math.max(0, Math.min(width - 1, to[1]))] : null;
}

export function createFocus() {
  const element = made("div", "focus-area");
  const map = made("div", "focus-map");
  map.tabIndex = 0;
  map.id = "focus-map";
  map.setAttribute("role", "application");
  map.setAttribute("aria-roledescription", TEXT.mapWithCursor);
  const canvas = made("canvas");
  const numbers = made("canvas", "numbers");
  const mark = made("div", "mark");
  const cursorMark = made("div", "mark cursor");
  map.append(canvas, numbers, mark, cursorMark);
  const readout = made("div", "readout");
  element.append(map, readout);
  let cursor = [0, 0];
  let drawnNumbers = null;
  let drawnKey = "";
  let largestOf = null;
  /** @type {[number, number, number][]} */
  let largest = [];

  const shapeOf = () => mapSize(loaded.atlas);
  const current = () => {
    const at = link();
    if (!loaded.atlas || at.channel === null || loaded.atlas.value !== at.value) return null;
    return { value: at.value, channel: at.channel, ...shapeOf() };
  };
  pointable(map, current);
  map.addEventListener("focus", () => {
    const at = link().at;
    cursor = at ?? [Math.floor(shapeOf().height / 2), Math.floor(shapeOf().width / 2)];
    const of = current();
    if (of && map.matches(":focus-visible")) light({ kind: "cell", value: of.value, c: of.channel, y: cursor[0], x: cursor[1] });
  });
  map.addEventListener("blur", () => light(null));
  map.addEventListener("keydown", (event) => {
    const of = current();
    if (!of || isCommand(event)) return;
    const to = movedCell(event, cursor, of.height, of.width);
    if (to) {
      cursor = to;
      light({ kind: "cell", value: of.value, c: of.channel, y: to[0], x: to[1] });
    } else if (event.key === "Enter" || event.key === " ") selectCell(of.value, of.channel, cursor);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  register({
    get value() { return link().value; },
    light(box, now) {
      const { height, width } = shapeOf();
      frame(mark, now?.kind === "pixel" ? box : null, height, width);
      const own = now?.kind === "cell" && now.value === link().value;
      frame(cursorMark, own ? boxOfCell(now) : null, height, width);
      read(now);
    },
  });
  watch((now) => { if (now?.kind === "cell" && now.value === link().value) cursor = [now.y, now.x]; });
  new ResizeObserver(() => drawNumbers(true)).observe(map);

  function read(now) {
    const at = link();
    const own = now?.kind === "cell" && now.value === at.value && loaded.atlas?.value === at.value;
    const { height, width } = shapeOf();
    const value = own ? numberAt(now.c, now.y, now.x) : null;
    const index = loaded.atlas ? loaded.atlas.channels.indexOf(at.channel) : -1;
    const off = at.interventions.some((change) => change.op === "channel_off" && change.value === at.value && change.channel === at.channel);
    render(html`
      <div class="big number" aria-live="polite">${own ? number(value, 5) : TEXT.channel(at.channel ?? 0)}</div>
      <div class="where">${own ? TEXT.cellAt(now.c, now.y, now.x) : height * width > 1 ? TEXT.hoverMap : ""}</div>
      <dl>
        ${index >= 0 ? html`<dt>${TEXT.rangeOfMap}</dt><dd class="number">${number(loaded.atlas.lo[index])} … ${number(loaded.atlas.hi[index])}</dd>` : ""}
        <dt>${TEXT.mapSize}</dt><dd class="number">${height} × ${width}</dd>
      </dl>
      ${largest.length ? html`<div><span class="muted small">${TEXT.largest}</span><div class="largest">${largest.map(([y, x, found]) => html`<button class="number" @click=${() => selectCell(at.value, at.channel ?? 0, [y, x])} title=${TEXT.cellAt(at.channel ?? 0, y, x)}>${number(found, 3)} <span class="muted">${y}, ${x}</span></button>`)}</div></div>` : ""}
      <div class="row">
        <button ?disabled=${loaded.session?.offline || loaded.byValue.get(at.value)?.kind === "input"} @click=${() => switchChannel(at, off)} aria-pressed=${String(off)} title=${TEXT.channelOffHelp}>${off ? TEXT.channelOn : TEXT.channelOff}</button>
      </div>`, readout);
  }

  function switchChannel(at, off) {
    const kept = at.interventions.filter((change) => !(change.op === "channel_off" && change.value === at.value && change.channel === at.channel));
    go({ interventions: off ? kept : [...kept, { op: "channel_off", value: at.value, channel: at.channel }] });
  }

  /** Find the five cells of the largest absolute value of the channel. */
  function findLargest() {
    const found = exactNumbers();
    if (found === largestOf) return;
    largestOf = found;
    largest = [];
    if (!found) return;
    const { width } = shapeOf();
    /** @type {number[]} */
    const best = [];
    for (let i = 0; i < found.numbers.length; i += 1) {
      const size = Math.abs(found.numbers[i]);
      if (best.length === 5 && !(size > Math.abs(found.numbers[best[4]]))) continue;
      const at = best.findIndex((other) => size > Math.abs(found.numbers[other]));
      best.splice(at < 0 ? best.length : at, 0, i);
      best.length = Math.min(5, best.length);
    }
    largest = best.map((i) => [Math.floor(i / width), i % width, found.numbers[i]]);
  }

  /** Draw exact numbers in the cells where they fit. */
  function drawNumbers(again = false) {
    const found = exactNumbers();
    const { height, width } = shapeOf();
    const wide = map.clientWidth;
    const key = `${wide}|${link().colours}|${link().scale}`;
    if (!again && found === drawnNumbers && key === drawnKey) return;
    drawnNumbers = found;
    drawnKey = key;
    const side = wide / width;
    const fits = found && side >= 27;
    const ratio = devicePixelRatio || 1;
    numbers.width = fits ? Math.round(wide * ratio) : 1;
    numbers.height = fits ? Math.round(side * height * ratio) : 1;
    const context = numbers.getContext("2d");
    if (!fits || !context) return;
    const index = loaded.atlas.channels.indexOf(found.channel);
    if (index < 0) return;
    const scale = mapScale(loaded.atlas, index, link().scale, link().colours);
    context.scale(ratio, ratio);
    context.font = `${Math.max(8, Math.min(13, side * 0.3))}px ${getComputedStyle(document.body).fontFamily}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        const value = found.numbers[y * width + x];
        context.fillStyle = inkOn(cssColour(value, scale));
        context.fillText(number(value, 2), (x + 0.5) * side, (y + 0.5) * side, side - 2);
      }
    }
  }

  return {
    element,
    update() {
      const at = link();
      const { atlas } = loaded;
      const index = atlas && atlas.value === at.value ? atlas.channels.indexOf(at.channel) : -1;
      const { height, width } = shapeOf();
      element.hidden = !atlas || height * width <= 1;
      if (element.hidden) return;
      map.setAttribute("aria-label", TEXT.mapLabel(at.channel ?? 0, at.value, height, width));
      map.style.aspectRatio = `${width} / ${height}`;
      if (index >= 0) paintMap(canvas, atlas, index, at.scale, at.colours);
      else if (exactNumbers()) paintExact();
      drawNumbers();
      findLargest();
      read(lit());
    },
  };

  /** A channel of another page: painted from its exact numbers. */
  function paintExact() {
    const { numbers: all } = loaded.numbers;
    const { height, width } = shapeOf();
    const [lo, hi] = endsOf(all);
    const bytes = Uint8Array.from(all, (x) => (hi > lo ? Math.round(((x - lo) / (hi - lo)) * 255) : 0));
    const { layer, network } = loaded.atlas;
    paintMap(canvas, { shape: [1, height, width], lo: [lo], hi: [hi], layer, network, bytes }, 0, link().scale, link().colours);
  }
}

/** Return the exact numbers of a channel of the selected value, once they are there. */
function exactNumbers(channel = link().channel) {
  const { numbers } = loaded;
  return numbers?.channel === channel && numbers.value === link().value ? numbers : null;
}

/** Return the exact number of a cell of the selected value; from its byte where the channel's numbers are not there. */
function numberAt(c, y, x) {
  const { atlas } = loaded;
  const { height, width } = mapSize(atlas);
  const exact = exactNumbers(c);
  if (exact) return exact.numbers[y * width + x];
  const index = atlas?.channels.indexOf(c) ?? -1;
  if (index < 0) return null;
  const byte = atlas.bytes[index * height * width + y * width + x];
  // One byte a cell is a step of 1/255 of the map's range: three digits.
  return Number((atlas.lo[index] + ((atlas.hi[index] - atlas.lo[index]) * byte) / 255).toPrecision(3));
}

/** The legend of a scale: its colours with both ends. @param {import("./atlas.js").Scale} scale */
export function legend(scale, says) {
  const canvas = made("canvas");
  canvas.setAttribute("aria-hidden", "true");
  paintStrip(canvas, scale.name);
  return html`<span class="legend"><span class="number">${number(scale.low)}</span>${canvas}<span class="number">${number(scale.high)}</span><span>${says}</span></span>`;
}

