/** Chapter 3: windows on one axis as brackets, and on an image as shading; pixels that are never read in red. */
import { html, nothing } from "lit-html";
import { made, shapeElement } from "convscope/elements";
import * as arithmetic from "convscope/learn/arithmetic";
import { segments, slider } from "convscope/learn/controls";
import { between, colourOf, createHeat } from "convscope/learn/heat";
import { createPlayer } from "convscope/learn/player";

const LIMITS = { size: [1, 256], kernel: [1, 16], stride: [1, 16], padding: [0, 8], dilation: [1, 4] };
const SLIDES = { size: 64, kernel: 11, stride: 6, padding: 6, dilation: 4 }; // ends of the sliders; a preset may lie beyond
const CELL = 24;
const LANE = 9;
const GAP = 8;
const NUMBERS = 12; // height of the pixels' numbers above the axis
const MOST_NUMBERED = 40;
const MOST_SHADE = 0.95; // opacity of the pixel that is read most often

/** @param {any} room as `chapter.js` gives it */
export function create(room) {
  const { texts, filled, changed, say } = room;
  const state = { mode: "convolution", size: 7, kernel: 3, stride: 1, padding: 0, dilation: 1 };
  let index = 0; // of the window, or of the input in a transposed convolution
  let pixel = /** @type {[number, number]} */ ([0, 0]);
  /** @type {any} */
  let presets = {};
  room.optional.record("real-layers").then((found) => { presets = found; changed(); }, () => {}); // sliders need no presets

  const strip = made("div", "strip");
  strip.tabIndex = 0;
  strip.setAttribute("role", "application");
  const svg = shapeElement("svg", {}, strip);
  svg.setAttribute("aria-hidden", "true");
  const heat = createHeat({ move: (row, column) => { pixel = [row, column]; changed(); }, say });
  const player = createPlayer({ words: room.words, label: room.words.position, changed, seek: (to) => { index = to; } });

  strip.addEventListener("keydown", (event) => {
    const by = event.shiftKey ? 5 : 1;
    const to = { ArrowLeft: index - by, ArrowRight: index + by, Home: 0, End: Infinity }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    index = Math.max(0, Math.min(positions() - 1, to));
    say(windowText());
    changed();
  });

  const transposed = () => state.mode === "transposed";
  const outputs = () => (transposed() ? arithmetic.transposedSize(state.size, state) : arithmetic.outputSize(state.size, state));
  /** Windows that can be stepped through: one for each output, or for each input that is written. */
  const positions = () => (transposed() ? state.size : outputs());
  /** The axis that the windows lie on. */
  const axisSize = () => (transposed() ? outputs() : state.size);
  const counts = () => (transposed() ? arithmetic.sumCounts(state.size, state) : arithmetic.useCounts(state.size, state));

  function set(settings) {
    for (const [key, value] of Object.entries(settings)) {
      if (key === "mode") state.mode = value === "transposed" ? "transposed" : "convolution";
      else if (key in LIMITS && Number.isFinite(value)) state[key] = Math.round(Math.min(LIMITS[key][1], Math.max(LIMITS[key][0], value)));
    }
    index = 0;
    pixel = [0, 0];
    changed();
  }

  const listed = (numbers) => {
    const texts_ = numbers.slice(0, 12).map((at) => at + 1);
    return numbers.length > 12 ? `${texts_.join(", ")}, …` : texts_.join(", ");
  };

  function windowText() {
    const all = arithmetic.taps(state, index);
    const inside = all.filter((at) => at >= 0 && at < axisSize());
    const zeros = all.length - inside.length;
    const values = { number: index + 1, count: positions(), pixels: listed(inside), zeros };
    if (transposed()) return filled(texts.written, values);
    return filled(zeros ? texts["window-padding"] : texts.window, values);
  }

  const unused = () => counts().flatMap((count, at) => (count ? [] : [at]));

  function task(id) {
    if (!outputs()) return { done: false };
    const uses = counts();
    if (id === "same") return { done: !transposed() && state.kernel >= 5 && state.dilation >= 2 && outputs() === state.size };
    if (id === "unread") return { done: !transposed() && state.padding > 0 && unused().length > 0 };
    if (id === "gaps") {
      const read = uses.flatMap((count, at) => (count ? [at] : []));
      const gaps = unused().filter((at) => at > read[0] && at < read[read.length - 1]);
      return { done: !transposed() && gaps.length >= 4 };
    }
    const border = arithmetic.span(state);
    const middle = uses.slice(border, uses.length - border);
    return { done: transposed() && state.stride > 1 && middle.length > 2 && new Set(middle).size === 1 && middle[0] > 0 };
  }

  /** Draw the axis: cells with their counts, and a bracket for each window, in lanes where they overlap. */
  function drawStrip() {
    const [pad, size] = [transposed() ? 0 : state.padding, axisSize()];
    const total = size + 2 * pad;
    const width = arithmetic.span(state);
    const lanes = Math.min(12, Math.max(1, Math.ceil((width + 0.5) / state.stride)));
    const height = CELL + GAP + lanes * LANE;
    const numbered = total <= MOST_NUMBERED;
    const above = numbered ? NUMBERS : 0;
    const uses = counts();
    const most = Math.max(1, ...uses);
    svg.replaceChildren();
    svg.setAttribute("viewBox", `${-pad * CELL - 2} ${-2 - above} ${total * CELL + 4} ${height + 4 + above}`);
    svg.style.maxWidth = `${Math.max(12, total * 2.2)}rem`;
    svg.style.minWidth = `${total * 0.8}rem`; // a long axis scrolls
    const now = new Set(positions() ? arithmetic.taps(state, index) : []);
    for (let at = -pad; at < size + pad; at++) {
      const inside = at >= 0 && at < size;
      const kind = !inside ? "padding" : uses[at] ? "read" : "never";
      const rect = shapeElement("rect", { x: at * CELL, y: 0, width: CELL, height: CELL, class: `pixel ${kind}${now.has(at) ? " now" : ""}` }, svg);
      if (kind === "read") rect.setAttribute("fill-opacity", ((uses[at] / most) * MOST_SHADE).toFixed(2));
      if (kind === "never") shapeElement("path", { d: `M${at * CELL + 7} 7l10 10m0 -10l-10 10`, class: "cross" }, svg);
      else if (numbered) {
        const label = shapeElement("text", { x: at * CELL + CELL / 2, y: CELL / 2, class: `count${kind === "read" && (uses[at] / most) * MOST_SHADE > 0.75 ? " strong" : ""}` }, svg);
        label.textContent = inside ? String(uses[at]) : "0";
      }
      if (numbered && inside) shapeElement("text", { x: at * CELL + CELL / 2, y: -NUMBERS / 2, class: "pixel-number" }, svg).textContent = String(at + 1);
    }
    const bracket = (each) => `M${arithmetic.taps(state, each)[0] * CELL + 2} ${CELL + GAP + (each % lanes) * LANE - 4}v4h${width * CELL - 4}v-4`;
    const others = Array.from({ length: positions() }, (_, each) => (each === index ? "" : bracket(each))).join("");
    shapeElement("path", { d: others, class: "bracket" }, svg);
    if (positions()) shapeElement("path", { d: bracket(index), class: "bracket now" }, svg);
    if (strip.scrollWidth > strip.clientWidth) strip.scrollLeft = ((arithmetic.taps(state, index)[0] + pad + width / 2) / total) * strip.scrollWidth - strip.clientWidth / 2;
    strip.setAttribute("aria-label", `${filled(texts["axis-label"], { count: positions() })} ${positions() ? windowText() : ""}`);
  }

  function drawImage() {
    const [uses, size] = [counts(), axisSize()];
    const most = Math.max(1, ...uses) ** 2;
    const [paper, blue, red] = ["--paper", "--blue", "--never"].map(colourOf);
    const low = between(paper, blue, 0.06);
    const product = (row, column) => uses[row] * uses[column];
    const shades = new Map([[0, red]]); // by how often a pixel is read
    for (const one of new Set(uses)) for (const other of new Set(uses)) if (one * other) shades.set(one * other, between(low, blue, (one * other) / most));
    pixel = [Math.min(pixel[0], size - 1), Math.min(pixel[1], size - 1)];
    heat.update({
      rows: size, columns: size, cursor: pixel,
      colour: (row, column) => /** @type {number[]} */ (shades.get(product(row, column))),
      cross: (row, column) => !product(row, column),
      text: size <= 16 ? (row, column) => String(product(row, column)) : null,
      spoken: (row, column) => pixelText(row, column, product(row, column)),
      label: `${filled(texts["image-label"], { size })} ${pixelText(...pixel, product(...pixel))}`,
    });
  }

  const pixelText = (row, column, count) =>
    filled(transposed() ? texts["pixel-written"] : count ? texts.pixel : texts["pixel-never"], { row: row + 1, column: column + 1, count });

  function formula() {
    const span = arithmetic.span(state);
    const values = { H: state.size, P: state.padding, S: state.stride, span, size: outputs(), padded: arithmetic.paddedSize(state.size, state) };
    if (!outputs()) return html`<p class="problem" role="status">${filled(transposed() ? texts["misfit-transposed"] : texts.misfit, values)}</p>`;
    return html`<p class="formula"><output>${filled(transposed() ? texts["formula-transposed"] : texts.formula, values)}</output></p>
      ${state.dilation > 1 ? html`<p class="small muted">${filled(texts.span, { ...state, span })}</p>` : nothing}`;
  }

  function facts() {
    const never = unused();
    const uses = counts();
    const middle = uses[Math.floor(uses.length / 2)];
    const most = Math.max(...uses) ** 2;
    const left = arithmetic.leftOver(state.size, state);
    const values = { count: never.length, size: axisSize(), pixels: listed(never), left, padded: arithmetic.paddedSize(state.size, state), corner: uses[0] ** 2, edge: uses[0] * middle, middle: middle ** 2, most };
    return html`<ul class="findings"><li>${windowText()}</li>
      ${transposed() ? (never.length ? html`<li class="bad">${filled(texts["never-written"], values)}</li>` : nothing) : html`<li class=${never.length ? "bad" : ""}>${filled(never.length ? texts.never : texts["never-none"], values)}</li>
        ${left ? html`<li>${filled(texts.left, values)}</li>` : nothing}
        <li>${filled(texts.counts, values)}</li>`}</ul>`;
  }

  const legend = () => (transposed()
    ? [["never", texts["legend-never-written"]], ["few", texts["legend-few-terms"]], ["many", texts["legend-many-terms"]]]
    : [["never", texts["legend-never"]], ["padding", texts["legend-padding"]], ["few", texts["legend-few"]], ["many", texts["legend-many"]]]);

  const control = (key) => slider({ label: texts[key], value: state[key], text: filled(texts[key === "padding" ? "pixels-each" : "pixels"], { count: state[key] }), low: LIMITS[key][0], high: Math.max(SLIDES[key], state[key]), change: (value) => { state[key] = value; index = Math.max(0, Math.min(index, positions() - 1)); changed(); } });

  function view() {
    index = Math.max(0, Math.min(index, positions() - 1));
    if (outputs()) {
      drawStrip();
      drawImage();
    }
    return html`
      <div class="row">${segments({ label: texts.mode, value: state.mode, options: [["convolution", texts.convolution], ["transposed", texts.transposed]], change: (mode) => set({ mode }) })}</div>
      <div class="sliders">${["size", "kernel", "stride", "padding", "dilation"].map(control)}</div>
      ${formula()}
      ${outputs() ? html`<h4>${transposed() ? texts["axis-transposed"] : texts.axis}</h4>${strip}
        ${player.view(positions(), index, windowText())}
        <div class="beside"><div><h4>${transposed() ? texts["image-transposed"] : texts.image}</h4>${heat.element}</div>
          <div>${facts()}<p class="small pixel-text">${pixelText(...pixel, counts()[pixel[0]] * counts()[pixel[1]])}</p>
            <p class="legend small">${legend().map(([kind, text]) => html`<span><i class=${`swatch ${kind}`}></i> ${text}</span>`)}</p></div></div>` : nothing}
      <div class="row presets"><span class="muted small">${texts.presets}</span>${Object.values(presets).map(({ title, side, kernel, stride, padding }) => html`<button class="small" @click=${() => set({ mode: "convolution", size: side, kernel, stride, padding, dilation: 1 })}>${title}</button>`)}</div>`;
  }

  return { view, set, task, close: player.close };
}
