/** Chapter 1: parameters of a fully connected layer beside those of filters, as bars and as the lines that they stand for. */
import { html } from "lit-html";
import { made, shapeElement } from "convscope/elements";
import { convolutionCost, linearCost } from "convscope/learn/arithmetic";
import { segments, slider } from "convscope/learn/controls";
import { createPlayer } from "convscope/learn/player";
import { createShift } from "convscope/learn/shift_part";

const LIMITS = { side: [8, 512], channels: [1, 64], units: [1, 4096], filters: [1, 512], kernel: [1, 11] };
const DECADES = 12; // of the scale, from 1 to 10 to this power
const BLOCKS = 14; // along each side of the drawn image
const BYTES = 4; // of a weight in 32-bit floating point
const ASKED = { channels: 3, units: 1000, bytes: 10 ** 9 }; // of the first task

/** @param {any} room as `chapter.js` gives it */
export function create(room) {
  const { texts, filled, changed } = room;
  let mode = "count";
  /** @type {any} */
  let moved = null;
  let place = /** @type {[number, number]|null} */ (null); // that was set before the pattern was there
  let shuffled = false; // set before it as well
  let asked = false;
  const state = { side: 224, channels: 3, units: 100, filters: 100, kernel: 3 };
  let position = 0; // of the drawn filter
  let drawn = ""; // what the drawings show
  const player = createPlayer({ words: room.words, label: room.words.position, changed, seek: (to) => { position = to; } });

  const chart = made("div", "log-bars");
  const bars = ["dense", "convolution"].map((name) => {
    const [title, track] = [made("p", "small"), made("div", "track")];
    const fill = made("div", `fill ${name}`);
    track.append(fill);
    chart.append(title, track);
    return { title, fill };
  });
  const ticks = made("div", "ticks small muted");
  ticks.setAttribute("aria-hidden", "true");
  for (let power = 0; power <= DECADES; power += 3) {
    const tick = made("span", "", ["1", "10³", "10⁶", "10⁹", "10¹²"][power / 3]);
    tick.style.left = `${(power / DECADES) * 100}%`;
    ticks.append(tick);
  }
  chart.append(ticks);
  const drawings = [0, 1].map(() => shapeElement("svg", { viewBox: "-4 -4 300 208", role: "img" }));

  function ask() {
    if (asked) return;
    asked = true;
    room.record("shifted").then((found) => {
      moved = createShift(room, found);
      if (place) moved.set(place, shuffled);
      changed();
    }, () => { asked = false; });
  }

  const dense = (side = state.side) => linearCost(side * side * state.channels, state.units);
  const filters = () => convolutionCost({ channels: state.channels, filters: state.filters, kernel: state.kernel, outputs: state.side ** 2 });
  const sum = ({ weights, biases }) => weights + biases;

  function bytesText(count) {
    const units = texts["byte-units"].split(", ");
    let [size, unit] = [count * BYTES, 0];
    while (size >= 1000 && unit < units.length - 1) {
      size /= 1000;
      unit += 1;
    }
    return `${size >= 100 ? Math.round(size) : Number(size.toPrecision(3))} ${units[unit]}`;
  }

  /** Round a ratio to a whole number, a small one to three digits. @param {number} ratio */
  const times = (ratio) => (ratio >= 100 ? Math.round(ratio) : Number(ratio.toPrecision(3)));

  function drawBars() {
    const counts = [sum(dense()), sum(filters())];
    const titles = [filled(texts.dense, state), filled(texts.convolution, state)];
    bars.forEach(({ title, fill }, at) => {
      title.textContent = `${titles[at]}: ${filled(texts.parameters, { count: counts[at] })}, ${filled(texts.bytes, { size: bytesText(counts[at]) })}`;
      fill.style.width = `${(Math.log10(Math.max(1, counts[at])) / DECADES) * 100}%`;
    });
  }

  /** Draw the image as blocks, and a line for each weight of a unit, or of a filter where it lies. */
  function drawLines() {
    const blocks = Math.min(BLOCKS, state.side);
    const cell = 196 / blocks;
    const kernel = Math.min(state.kernel, blocks);
    const places = blocks - kernel + 1;
    position = Math.min(position, places * places - 1);
    const [top, left] = [Math.floor(position / places), position % places];
    drawings[0].setAttribute("aria-label", filled(texts["lines-dense"], { weights: dense().weights / state.units }));
    drawings[1].setAttribute("aria-label", `${filled(texts["lines-filter"], { weights: filters().weights / state.filters })} ${filled(texts["lines-drawn"], { blocks })}`);
    const now = `${blocks} ${kernel} ${position}`;
    if (now === drawn) return places * places;
    drawn = now;
    const inFilter = (row, column) => row >= top && row < top + kernel && column >= left && column < left + kernel;
    drawings.forEach((svg, which) => {
      const target = which ? [282, ((top + kernel / 2) / blocks) * 196] : [282, 98];
      let [others, read, lines] = ["", "", ""];
      for (let at = 0; at < blocks * blocks; at++) {
        const [row, column] = [Math.floor(at / blocks), at % blocks];
        const block = `M${column * cell} ${row * cell}h${cell}v${cell}h${-cell}z`;
        if (!which || inFilter(row, column)) {
          read += block;
          lines += `M${(column + 0.5) * cell} ${(row + 0.5) * cell}L${target[0]} ${target[1]}`;
        } else others += block;
      }
      svg.replaceChildren();
      shapeElement("path", { d: others, class: "block" }, svg);
      shapeElement("path", { d: read, class: "block read" }, svg);
      shapeElement("path", { d: lines, class: "weight-line" }, svg);
      shapeElement(which ? "rect" : "circle", which ? { x: 276, y: target[1] - 6, width: 12, height: 12, class: "unit-mark" } : { cx: 282, cy: 98, r: 7, class: "unit-mark" }, svg);
    });
    return places * places;
  }

  function task(id) {
    if (id === "shift") return mode === "shift" && moved ? moved.task() : { done: false };
    if (id === "equal") return { done: sum(filters()) > sum(dense()) };
    const asked = state.channels === ASKED.channels && state.units === ASKED.units;
    const over = (side) => dense(side).weights * BYTES > ASKED.bytes;
    return { done: asked && over(state.side) && !over(state.side - 1), value: state.side };
  }

  function set(settings) {
    for (const [key, value] of Object.entries(settings)) {
      if (key in LIMITS && Number.isFinite(value)) state[key] = Math.round(Math.min(LIMITS[key][1], Math.max(LIMITS[key][0], value)));
    }
    if (["count", "shift"].includes(settings.mode)) mode = settings.mode;
    if (Number.isFinite(settings.row) && Number.isFinite(settings.column)) {
      place = [settings.row, settings.column];
      shuffled = settings.shuffled === true;
      moved?.set(place, shuffled);
    }
    position = 0;
    changed();
  }

  const inPixels = (key) => (key === "side" || key === "kernel" ? filled(texts.pixels, { count: state[key] }) : "");
  const control = (key) => slider({ label: texts[key], value: state[key], text: inPixels(key), low: LIMITS[key][0], high: LIMITS[key][1], change: (value) => { state[key] = value; changed(); } });

  function view() {
    if (mode === "shift") ask();
    return html`${segments({ label: texts.mode, value: mode, options: [["count", texts.count], ["shift", texts.shift]], change: (to) => { mode = to; changed(); } })}
      ${mode === "count" ? counts() : moved?.view() ?? room.waiting()}`;
  }

  function counts() {
    drawBars();
    const places = drawLines();
    const [a, b] = [sum(dense()), sum(filters())];
    const block = Math.ceil(state.side / BLOCKS);
    return html`
      <div class="sliders">${Object.keys(LIMITS).map(control)}</div>
      <p class="formula small-formula"><output>${filled(texts["dense-sum"], { ...state, count: a })}</output></p>
      <p class="formula small-formula"><output>${filled(texts["convolution-sum"], { ...state, count: b })}</output></p>
      <h4>${texts.scale}</h4>${chart}
      <ul class="findings"><li>${a >= b ? filled(texts.ratio, { times: times(a / b) }) : filled(texts["ratio-less"], { times: times(b / a) })}</li>
        <li>${filled(texts.macs, { dense: dense().macs, convolution: filters().macs, positions: state.side ** 2 })}</li></ul>
      <div class="pair"><figure>${drawings[0]}<figcaption class="small">${filled(texts["lines-dense"], { weights: dense().weights / state.units })}${block > 1 ? html` <span class="muted">${filled(texts["lines-part"], { block })}</span>` : ""}</figcaption></figure>
        <figure>${drawings[1]}<figcaption class="small">${filled(texts["lines-filter"], { weights: filters().weights / state.filters })}${block > 1 ? html` <span class="muted">${filled(texts["lines-drawn"], { blocks: BLOCKS })}</span>` : ""}</figcaption></figure></div>
      ${player.view(places, position)}`;
  }

  return { view, set, task, close: player.close };
}
