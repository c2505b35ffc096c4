/** Chapter 4: a stack of slices, filters of the same depth, the products of each slice, the sum, the bias, the maps. */
import { html, nothing } from "lit-html";
import { convolutionCost, outputSize, windowSum } from "convscope/learn/arithmetic";
import { createCells } from "convscope/learn/cells";
import { check, segments, slider } from "convscope/learn/controls";
import { numberText } from "convscope/learn/fill";
import { createPlayer } from "convscope/learn/player";

const MOST = 4; // channels, and filters
const SEEDS = 3;
const ASKED = { parameters: 30, macs: 243 }; // of the third task: those of the last step
const withSign = (value) => (value < 0 ? `(−${-value})` : String(value));

/** @param {any} room as `chapter.js` gives it */
export function create(room) {
  const { texts, filled, changed, say } = room;
  const state = { channels: 3, filters: 1, groups: "1", point: false };
  let seed = 1;
  let [asked, answered] = [0, 0]; // seeds
  let index = 0; // over all filters and positions
  let grown = 0; // of the output's cells, how many are there
  /** @type {any} */
  let found = null;
  /** @type {Map<number, string>} */
  const seen = new Map(); // settings, by their parameters
  let twice = false;
  const player = createPlayer({ words: room.words, label: room.words.position, changed, seek: (to) => { index = to; grown = Math.max(grown, to); } });
  const slices = Array.from({ length: MOST }, () => ({ input: createCells({ say, move: moveWindow, quiet: true }), filter: createCells({}) }));
  const maps = Array.from({ length: MOST }, (_, filter) => createCells({ say, move: (row, column) => { go(filter, row, column); } }));

  function ask() {
    if (seed === asked) return;
    const mine = asked = seed;
    room.record("volume", { seed }).then((answer) => {
      if (asked !== mine) return;
      [found, answered] = [answer, mine];
      changed();
    }, () => {
      if (asked !== mine) return;
      asked = answered;
      if (!answered) return;
      seed = answered; // what is shown stays
      changed();
    });
  }

  const kernel = () => (state.point ? 1 : 3);
  const groups = () => ({ 1: 1, 2: 2, depthwise: state.channels })[state.groups];
  const fits = () => state.channels % groups() === 0 && state.filters % groups() === 0;
  const depth = () => state.channels / groups();
  const side = () => outputSize(found.input[0].length, { kernel: kernel() });
  const cost = () => convolutionCost({ channels: state.channels, filters: state.filters, kernel: kernel(), outputs: side() ** 2, groups: groups() });
  const parameters = () => cost().weights + cost().biases;
  const places = () => side() ** 2;

  /** Return the channels that a filter reads. */
  function read(filter) {
    const first = Math.floor(filter / (state.filters / groups())) * depth();
    return Array.from({ length: depth() }, (_, at) => first + at);
  }

  const weightsOf = (filter, channel) => (state.point ? found.points : found.filters)[filter][channel];

  function value(filter, row, column) {
    const sums = read(filter).map((channel) => windowSum(found.input[channel], weightsOf(filter, channel), row, column).sum);
    return { sums, sum: sums.reduce((all, one) => all + one, 0), bias: found.biases[filter] };
  }

  function now() {
    const filter = Math.floor(index / places());
    const at = index % places();
    return { filter, row: Math.floor(at / side()), column: at % side() };
  }

  function go(filter, row, column) {
    player.pause();
    index = filter * places() + row * side() + column;
    grown = Math.max(grown, index);
    changed();
  }

  function moveWindow(row, column) {
    go(now().filter, Math.min(row, side() - 1), Math.min(column, side() - 1));
  }

  function set(settings) {
    const clamped = (number) => Math.max(1, Math.min(MOST, Math.round(number)));
    if (Number.isFinite(settings.channels)) state.channels = clamped(settings.channels);
    if (Number.isFinite(settings.filters)) state.filters = clamped(settings.filters);
    if (["1", "2", "depthwise"].includes(settings.groups)) state.groups = settings.groups;
    if (typeof settings.point === "boolean") state.point = settings.point;
    [index, grown] = [0, 0];
    changed();
  }

  function task(id) {
    if (!found || !fits()) return { done: false };
    if (id === "fewest") return { done: state.channels === 4 && state.filters === 4 && !state.point && depth() === 1 };
    if (id === "macs") return { done: parameters() < ASKED.parameters && cost().macs > ASKED.macs };
    return { done: twice };
  }

  /** Keep what has been seen: equally many parameters of another depth or kernel. */
  function remember() {
    const setting = `${depth()} ${kernel()}`;
    const before = seen.get(parameters());
    if (before !== undefined && before !== setting) twice = true;
    if (before === undefined) seen.set(parameters(), setting);
  }

  function slice(channel, { filter, row, column }) {
    const { input, filter: shown } = slices[channel];
    const used = read(filter).includes(channel);
    const size = kernel();
    const inside = (r, c) => used && r >= row && r < row + size && c >= column && c < column + size;
    const pixels = found.input[channel];
    const windowText = (at) => (used ? filled(texts["slice-window"], { row: at.row + 1, column: at.column + 1, sum: windowSum(pixels, weightsOf(at.filter, channel), at.row, at.column).sum }) : "");
    input.update({
      rows: pixels.length, columns: pixels.length, cursor: [row, column], window: used ? [row, column, size, size] : null,
      text: (r, c) => String(pixels[r][c]), mark: (r, c) => (inside(r, c) ? "in-window" : ""),
      spoken: () => `${windowText(now())} ${cellText(now())}`.trim(),
      label: `${filled(texts[used ? "slice-label" : "slice-unread-label"], { number: channel + 1 })} ${windowText({ filter, row, column })}`.trim(),
    });
    if (!used) return html`<div class="slice unused"><figure><figcaption>${filled(texts.slice, { number: channel + 1 })}</figcaption>${input.element}</figure><p class="small muted">${texts.unread}</p></div>`;
    const weights = weightsOf(filter, channel);
    const title = filled(texts["filter-label"], { number: read(filter).indexOf(channel) + 1, filter: filter + 1 });
    shown.update({ rows: size, columns: size, text: (r, c) => numberText(weights[r][c]), label: title });
    const { sum } = windowSum(pixels, weights, row, column);
    return html`<div class="slice"><figure><figcaption>${filled(texts.slice, { number: channel + 1 })}</figcaption>${input.element}</figure>
      <span class="sign" aria-hidden="true">·</span><figure><figcaption>${title}</figcaption>${shown.element}</figure>
      <span class="sign" aria-hidden="true">=</span><b class="slice-sum">${numberText(sum)}</b></div>`;
  }

  /** Return a cell of a map in words. */
  function cellText({ filter, row, column }) {
    const { sum, bias } = value(filter, row, column);
    return filled(texts["map-cell"], { number: filter + 1, row: row + 1, column: column + 1, value: sum + bias });
  }

  function map(filter, at) {
    const later = (row, column) => filter * places() + row * side() + column > grown;
    maps[filter].update({
      rows: side(), columns: side(), cursor: filter === at.filter ? [at.row, at.column] : null, spoken: (row, column) => cellText({ filter, row, column }),
      text: (row, column) => { const { sum, bias } = value(filter, row, column); return later(row, column) ? "" : numberText(sum + bias); },
      mark: (row, column) => (later(row, column) ? "later" : ""), label: `${filled(texts["map-label"], { number: filter + 1 })}${filter === at.filter ? ` ${cellText(at)}` : ""}`,
    });
    return html`<figure><figcaption>${filled(texts.map, { number: filter + 1 })}</figcaption>${maps[filter].element}</figure>`;
  }

  function controls() {
    const change = (key) => (to) => { state[key] = to; [index, grown] = [0, 0]; changed(); };
    return html`<div class="sliders">${slider({ label: texts.channels, value: state.channels, low: 1, high: MOST, change: change("channels") })}
        ${slider({ label: texts.filters, value: state.filters, low: 1, high: MOST, change: change("filters") })}</div>
      <div class="row"><span class="small muted" aria-hidden="true">${texts.groups}</span>${segments({ label: texts.groups, value: state.groups, options: ["1", "2", "depthwise"].map((each) => [each, texts[`groups-${each}`]]), change: change("groups") })}
        ${check({ label: texts.point, value: state.point, change: change("point") })}
        <button @click=${() => { seed = (seed % SEEDS) + 1; changed(); }}>${texts["other-numbers"]}</button></div>`;
  }

  function view() {
    ask();
    if (!found) return room.waiting();
    if (!fits()) return html`${controls()}<p class="problem" role="status">${filled(texts["groups-misfit"], { groups: groups(), ...state })}</p>`;
    remember();
    index = Math.min(index, state.filters * places() - 1);
    const at = now();
    const { sums, sum, bias } = value(at.filter, at.row, at.column);
    const shapes = { ...state, kernel: kernel(), depth: depth(), side: side(), input: found.input[0].length };
    const terms = sums.map(withSign).join(" + ");
    return html`${controls()}
      <div class="formulas"><p class="formula small-formula"><output>${filled(texts.shapes, shapes)}</output></p>
      <p class="formula small-formula"><output>${filled(texts.parameters, { ...shapes, count: parameters() })}</output></p>
      <p class="formula small-formula"><output>${filled(texts.macs, { ...shapes, count: cost().macs })}</output></p></div>
      <div class="volume"><div class="stack">${Array.from({ length: state.channels }, (_, channel) => slice(channel, at))}
          <div class="worked-sum">${sums.length > 1 ? html`<p>${filled(texts.sums, { terms, sum })}</p>` : nothing}<p><strong>${filled(texts.bias, { filter: at.filter + 1, sum, bias: withSign(bias), value: sum + bias })}</strong></p></div></div>
        <div class="made"><h4>${filled(texts.maps, shapes)}</h4><div class="maps-made">${Array.from({ length: state.filters }, (_, filter) => map(filter, at))}</div></div></div>
      ${player.view(state.filters * places(), index, cellText(at))}
      <p class="small muted seen">${filled(texts.seen, { list: [...seen.keys()].sort((a, b) => a - b).join(", ") })}</p>`;
  }

  return { view, set, task, close: player.close };
}
