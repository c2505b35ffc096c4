/** Chapter 6: receptive fields of a stack that is built from parts, and the effective fields of a trained network. */
import { html } from "lit-html";
import { convolutionCost, folded, outputSize, pathCounts } from "convscope/learn/arithmetic";
import { choice, check, segments, slider } from "convscope/learn/controls";
import { judge } from "convscope/learn/design";
import { createAxisDrawing } from "convscope/learn/axis_drawing";
import { createEffective } from "convscope/learn/effective";
import { createFieldPicture } from "convscope/learn/field_picture";

/** @type {Object<string, import("./design.js").DesignLayer>} */
const LAYERS = {
  3: { kernel: 3, stride: 1, padding: 1 }, "3/2": { kernel: 3, stride: 2, padding: 1 },
  "3d2": { kernel: 3, stride: 1, padding: 2, dilation: 2 }, 1: { kernel: 1, stride: 1, padding: 0 },
  5: { kernel: 5, stride: 1, padding: 2 }, 7: { kernel: 7, stride: 1, padding: 3 },
  "7/2": { kernel: 7, stride: 2, padding: 3 }, p: { kernel: 2, stride: 2, padding: 0, pooling: true },
  p3: { kernel: 3, stride: 2, padding: 1, pooling: true },
};
const ORDER = ["3", "3/2", "3d2", "5", "7", "7/2", "1", "p", "p3"];
const PRESETS = {
  three: ["3 3 3", 32], seven: ["7", 32], puzzle: ["3 3 p 3 3 p 3", 64], fundus: ["3 3 p 3 3 p 3 3 p 3 3", 512],
  resnet: ["7/2 p3 3 3 3 3", 224], vgg: ["3 3 p 3 3 p 3 3 3 p", 224],
};
const SIZES = ["32", "64", "128", "224", "512"];
const MOST_LAYERS = 40;
const TASK = { side: 512, smallest: 10, largest: 200, cells: 4, most: 40 };

const layerOf = (/** @type {string} */ name) => LAYERS[name];

/** @param {any} room */
export function create(room) {
  const { texts, filled } = room;
  const state = { mode: "stack", layers: ["3", "3"], size: 32, depth: 2, paths: false, cell: /** @type {[number, number]|null} */ (null), problem: "" };
  const picture = createFieldPicture({ room, move: (row, column) => { state.cell = [row, column]; room.changed(); room.say(spoken(row, column)); } });
  const axis = createAxisDrawing(room.changed);
  const effective = createEffective(room);

  /** Sizes of the maps behind each layer, the image first; up to the first layer that no longer fits. */
  function sizes() {
    const found = [state.size];
    for (const name of state.layers) {
      const next = outputSize(found[found.length - 1], LAYERS[name]);
      if (next < 1) break;
      found.push(next);
    }
    return found;
  }

  const shownLayers = () => state.layers.slice(0, state.depth).map((name) => LAYERS[name]);

  function cell(cells) {
    const middle = Math.floor((cells - 1) / 2);
    return /** @type {[number, number]} */ ((state.cell ?? [middle, middle]).map((at) => Math.max(0, Math.min(cells - 1, at))));
  }

  /** First and last pixel of the field of a cell along an axis, borders ignored. */
  function ends(at) {
    const { size, stride, start } = folded(shownLayers()).at(-1);
    return [start + at * stride, start + at * stride + size - 1];
  }

  function spoken(row, column) {
    const [[top, bottom], [left, right]] = [ends(row), ends(column)];
    return filled(texts.spoken, { row: row + 1, column: column + 1, top: top + 1, bottom: bottom + 1, left: left + 1, right: right + 1 });
  }

  /** Say what the stack gives now. */
  function tell() {
    const maps = sizes();
    const parts = [misfit(maps), state.depth ? reads(maps) : texts.none, state.depth && state.size === TASK.side ? designed() : ""];
    room.say(parts.filter(Boolean).join(" "));
  }

  /** As `change`, by the learner. */
  function build(...asked) {
    change(...asked);
    tell();
  }

  function goTo(depth) {
    Object.assign(state, { depth, cell: null });
    room.changed();
    tell();
  }

  const misfit = (maps) => (maps.length <= state.layers.length ? filled(texts["too-small"], { number: maps.length }) : "");

  function change(layers, size = state.size) {
    state.layers = layers.slice(0, MOST_LAYERS).filter((name) => name in LAYERS);
    state.size = size;
    state.depth = Math.min(sizes().length - 1, state.layers.length);
    state.cell = null;
    room.changed();
  }

  function palette() {
    return html`<div class="controls">
      ${choice({ label: texts.preset, options: [["", texts["preset-none"]], ...Object.keys(PRESETS).map((name) => [name, texts[`preset-${name}`]])], value: "", change: (name) => { if (name) build(PRESETS[name][0].split(" "), PRESETS[name][1]); } })}
      ${segments({ label: texts.size, options: SIZES.map((value) => [value, value]), value: String(state.size), titled: true, change: (value) => build(state.layers, Number(value)) })}
      <div class="palette" role="group" aria-label=${texts.add}>${ORDER.map((name) => html`<button ?disabled=${state.layers.length >= MOST_LAYERS} @click=${() => build([...state.layers, name])}>+ ${texts[`layer-${name.replace("/", "-")}`]}</button>`)}</div>
      <button ?disabled=${!state.layers.length} @click=${() => build(state.layers.slice(0, -1))}>${texts.remove}</button>
      <button ?disabled=${!state.layers.length} @click=${() => build([])}>${texts.clear}</button></div>`;
  }

  function table(maps) {
    const fields = folded(state.layers.map((name) => LAYERS[name]));
    return html`<div class="table-frame" tabindex="0" role="region" aria-label=${texts.stack}><table class="layer-table"><thead><tr><th scope="col">${texts.row}</th><th scope="col">${texts.output}</th><th scope="col">${texts.jump}</th><th scope="col">${texts.field}</th></tr></thead>
      <tbody>${state.layers.map((name, at) => html`<tr aria-current=${String(at + 1 === state.depth)}><th scope="row"><button class="quiet" ?disabled=${at + 1 >= maps.length} @click=${() => goTo(at + 1)}>${at + 1}. ${texts[`layer-${name.replace("/", "-")}`]}</button></th>
        <td>${maps[at + 1] ?? "–"}</td><td>${at + 1 < maps.length ? fields[at].stride : "–"}</td><td>${at + 1 < maps.length ? fields[at].size : "–"}</td></tr>`)}</tbody></table></div>`;
  }

  function weights() {
    const kernels = state.layers.filter((name) => !LAYERS[name].pooling).map((name) => LAYERS[name].kernel);
    return kernels.reduce((sum, kernel) => sum + convolutionCost({ channels: 1, filters: 1, kernel, outputs: 1 }).weights, 0);
  }

  function designed() {
    const missed = judge(state.layers, TASK, layerOf);
    const fields = folded(state.layers.map((name) => LAYERS[name]));
    const early = fields.filter((one) => one.stride === 1).map((one) => one.size);
    const values = { field: fields.at(-1).size, first: Math.max(1, ...early), last: sizes().at(-1) };
    return filled(texts[missed ? "fundus-wrong" : "fundus-right"], values);
  }

  /** Return what the chosen cell reads, in words. */
  function reads(maps) {
    const cells = maps[state.depth];
    const { size, stride } = folded(shownLayers()).at(-1);
    const [down, across] = cell(cells).map(ends);
    const clip = (value) => Math.max(1, Math.min(state.size, value + 1));
    const cut = down[0] < 0 || down[1] >= state.size || across[0] < 0 || across[1] >= state.size;
    return `${filled(texts.result, { depth: state.depth, field: size, stride, cells })} ${filled(texts.whole, { top: clip(down[0]), bottom: clip(down[1]), left: clip(across[0]), right: clip(across[1]) })} ${cut ? texts.clipped : ""}`.trim();
  }

  function shown(maps) {
    if (!state.depth) return html`<p class="empty">${texts.none}</p>`;
    const layers = shownLayers();
    const cells = maps[state.depth];
    const at = cell(cells);
    const [down, across] = at.map(ends);
    const counts = at.map((place) => pathCounts(layers, state.size, place));
    picture.update({ size: state.size, cells, cell: at, field: [down, across], counts: state.paths ? counts.map((levels) => levels[0]) : null,
      label: `${texts["picture-label"]} ${spoken(...at)}`, spoken });
    axis.update({ levels: counts[1], names: [texts.image, ...state.layers.slice(0, state.depth).map((name) => texts[`layer-${name.replace("/", "-")}`])],
      label: filled(texts["axis-label"], { counts: counts[1].map((level) => level.filter(Boolean).length).join(", ") }) });
    return html`<p class="result">${reads(maps)} ${filled(texts.weights, { weights: weights() })}</p>
      ${state.size === TASK.side ? html`<p class="result">${designed()}</p>` : ""}
      <div class="figures"><figure>${picture.element}<div class="row">
          ${check({ label: texts.paths, value: state.paths, change: (paths) => { state.paths = paths; room.changed(); } })}
          <label class="button">${texts.photo}<input class="hidden-text" type="file" accept="image/*" @change=${take}></label></div>
          ${state.problem ? html`<p class="problem" role="alert">${state.problem}</p>` : ""}</figure>
        <figure><figcaption>${texts.axis}</figcaption>${axis.element}</figure></div>`;
  }

  function take(event) {
    const [file] = event.target.files;
    event.target.value = ""; // the same file may be chosen again
    if (!file) return;
    createImageBitmap(file).then(
      (bitmap) => { state.problem = ""; picture.photo(bitmap); room.changed(); },
      () => { state.problem = texts["photo-wrong"]; room.changed(); },
    );
  }

  function stack() {
    const maps = sizes();
    state.depth = Math.max(0, Math.min(maps.length - 1, state.depth));
    return html`${palette()}
      ${misfit(maps) ? html`<p class="problem">${misfit(maps)}</p>` : ""}
      ${slider({ label: texts.depth, value: state.depth, low: Math.min(1, maps.length - 1), high: maps.length - 1, change: goTo })}
      ${shown(maps)}${state.layers.length ? table(maps) : ""}`;
  }

  return {
    view: () => html`<div class="fields-widget">
      ${segments({ label: texts.mode, options: [["stack", texts.stack], ["trained", texts.trained]], value: state.mode, change: (mode) => { state.mode = mode; room.changed(); } })}
      ${state.mode === "stack" ? stack() : effective.view()}</div>`,
    set({ mode = "stack", layers, size, depth, paths = false }) {
      Object.assign(state, { mode, paths: Boolean(paths) });
      if (typeof layers === "string") change(layers.split(" "), SIZES.includes(String(size)) ? Number(size) : 32);
      if (Number.isInteger(depth)) state.depth = Math.max(0, Math.min(state.depth, depth));
      room.changed();
    },
    task(id) {
      const { layers } = state;
      if (!layers.length || state.mode !== "stack") return { done: false };
      const field = folded(layers.map((name) => LAYERS[name])).at(-1).size;
      const plain = layers.every((name) => LAYERS[name].stride === 1 && !LAYERS[name].dilation);
      if (id === "fifteen") return { done: layers.every((name) => name === "3") && field >= 15 && field - 2 < 15, value: layers.length };
      if (id === "cheaper") return { done: plain && field === 7 && weights() < 49 };
      return { done: state.size === TASK.side && judge(layers, TASK, layerOf) === null };
    },
    close() {},
  };
}
