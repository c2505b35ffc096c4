/** Chapter 8: training steps of a network of 210 parameters; every number can be chosen and followed to its operands. */
import { html } from "lit-html";
import { choice, segments } from "convscope/learn/controls";
import { between, colourOf, createHeat } from "convscope/learn/heat";
import { createPlayer } from "convscope/learn/player";
import { scientific } from "convscope/learn/fill";
import { arrayOf, parameterIndex, shapeOf, valueAt, worked } from "convscope/learn/step_worked";
import { number } from "convscope/units";

const PHASES = ["forward", "loss", "backward", "step"];
const DIGITS = ["7", "3", "0", "8"];
const RATES = ["0.1", "0.5", "2"];
/** What a step of the chapter chooses, by the name of the array. */
const SELECTED = { scores: (label) => [label], loss: () => [], d_scores: (label) => [label], d_filters: () => [0, 1, 1], new_filters: () => [0, 1, 1] };
const FORWARD = ["image", "filters", "filter_biases", "map", "relu", "pooled", "weights", "biases", "scores", "probabilities"];
const PANELS = {
  forward: FORWARD,
  loss: ["scores", "probabilities"],
  backward: ["d_scores", "d_biases", "d_weights", "d_pooled", "d_relu", "d_map", "d_filter_biases", "d_filters"],
  step: ["new_filters", "new_filter_biases", "new_weights", "new_biases"],
};

/** Return a number in at most four characters, for a cell of a panel: 0.118 -> ".12". @param {number} x */
const brief = (x) => (x === 0 ? "0" : x.toFixed(Math.abs(x) < 9.995 ? 2 : 0).replace("-", "−").replace(/^(−?)0\./, "$1."));

/** @param {any} room */
export function create(room) {
  const { texts, filled, words } = room;
  const state = { digit: "7", rate: "0.1", step: 0, phase: "forward" };
  /** @type {import("./step_worked.js").Place|null} */
  let chosen = null;
  /** @type {import("./step_worked.js").Place[]} */
  let way = [];
  let record = null;
  let [asked, answered] = ["", ""]; // a digit and a learning rate
  let telling = false; // whether the losses of the next record are said, as the learner asked for it
  /** @type {Map<string, any>} */
  const heats = new Map();
  const player = createPlayer({ words, label: texts["position-label"], seek: (index) => at(index), changed: room.changed });

  function ask() {
    const key = `${state.digit} ${state.rate}`;
    if (key === asked) return;
    asked = key;
    room.record("training-steps", { digit: state.digit, rate: state.rate }).then((found) => {
      if (asked !== key) return;
      [record, answered] = [found, key];
      room.changed();
      if (telling) room.say(lossesText());
      telling = false;
    }, () => {
      if (asked !== key) return;
      [asked, telling] = [answered, false];
      if (!answered) return;
      [state.digit, state.rate] = answered.split(" "); // what is shown stays
      room.changed();
    });
  }

  const position = () => state.step * PHASES.length + PHASES.indexOf(state.phase);

  function at(index) {
    state.step = Math.floor(index / PHASES.length);
    state.phase = PHASES[index % PHASES.length];
  }

  const named = ({ name, at: place }) => filled(texts[name] ?? texts["the-loss"], { number: place[0] + 1, label: record.label, loss: "" });
  const shown = (place) => scientific(number(valueAt(record, state.step, place), 4));

  /** @param {import("./step_worked.js").Place} place @param {import("./step_worked.js").Place[]} [from] what was chosen before, to go back to */
  function choose(place, from = []) {
    [chosen, way] = [place, from];
    const phase = Object.keys(PANELS).find((each) => PANELS[each].includes(place.name) && (each !== "loss" || state.phase === "loss"));
    if (phase && !PANELS[state.phase].includes(place.name)) state.phase = phase;
    room.changed();
    room.say(spoken(place));
  }

  const spoken = (place) => filled(texts.cell, { place: titled(place), value: shown(place) });

  /** What a number is, and where in its array. */
  const titled = (place) => [named(place), whereText(place)].filter(Boolean).join(", ");

  /** Where in its array a number is. @param {import("./step_worked.js").Place} of */
  function whereText({ name, at: place }) {
    const [row, column] = place.slice(-2);
    if (name.endsWith("filter_biases")) return filled(texts["of-filter"], { filter: row + 1 });
    if (/(^|_)weights$/.test(name)) return filled(texts["of-weight"], { class: row, column: column + 1 });
    if (place.length > 1) return filled(texts["row-column"], { row: row + 1, column: column + 1 });
    return place.length ? filled(texts["of-class"], { class: row }) : "";
  }

  /** Colours of a panel: blue below 0, orange above, strongest at the largest size. */
  function colourer(values) {
    const most = Math.max(...values.flat(Infinity).map(Math.abs), 1e-12);
    const [paper, low, high] = [colourOf("--paper"), colourOf("--blue"), colourOf("--orange")];
    return (value) => between(paper, value < 0 ? low : high, 0.75 * Math.min(1, Math.abs(value) / most));
  }

  /** A panel of a matrix, or of a vector as one row; `before` are the indices in front of its rows and columns. */
  function panel(name, before, rows) {
    const vector = !Array.isArray(rows[0]);
    const key = `${name} ${before}`;
    const placed = (row, column) => ({ name, at: vector ? [column] : [...before, row, column] });
    if (!heats.has(key)) {
      heats.set(key, createHeat({ move: (row, column) => choose({ name, at: heats.get(key).vector ? [column] : [...before, row, column] }), step: 3 }));
    }
    const heat = heats.get(key);
    heat.vector = vector;
    const value = (row, column) => (vector ? rows[column] : rows[row][column]);
    const colour = colourer(rows);
    const mine = chosen?.name === name && before.every((index, axis) => chosen.at[axis] === index) ? chosen.at.slice(before.length) : null;
    const caption = filled(texts[name], { number: (before[0] ?? 0) + 1, label: record.label });
    heat.update({
      rows: vector ? 1 : rows.length, columns: vector ? rows.length : rows[0].length, colour: (row, column) => colour(value(row, column)),
      text: (row, column) => brief(value(row, column)), cursor: mine ? [vector ? 0 : mine[0], vector ? mine[0] : mine[1]] : [0, 0], label: filled(texts.panel, { name: caption }),
      spoken: (row, column) => spoken(placed(row, column)),
    });
    heat.element.classList.toggle("has-chosen", Boolean(mine));
    return html`<figure data-panel=${name} class=${`step-panel size-${vector ? `vector-${rows.length}` : rows[0].length}`}><figcaption>${caption}</figcaption>${heat.element}</figure>`;
  }

  function panels(name) {
    const array = arrayOf(record, state.step, name);
    return html`<div class="step-group">${shapeOf(array).length === 3 ? array.map((rows, index) => panel(name, [index], rows)) : panel(name, [], array)}</div>`;
  }

  const operand = (place) => html`<button class="followed" title=${titled(place)} @click=${() => choose(place, [...way, chosen])}>${shown(place)}</button>`;

  function check() {
    const index = chosen.name.startsWith("d_") ? parameterIndex(record, chosen.name.slice(2), chosen.at) : -1;
    if (index < 0) return "";
    const step = record.steps[state.step];
    const values = { above: step.above[index].toFixed(9), below: step.below[index].toFixed(9), measured: scientific(number(step.measured[index], 4)), gradient: shown(chosen), nudge: record.nudge, twice: 2 * record.nudge };
    return html`<p class="check">${filled(texts.check, values)}</p>`;
  }

  function arithmetic() {
    if (!chosen) return html`<p class="muted">${texts.choose}</p>`;
    const { text, values, pairs, single, bias } = worked(record, state.step, chosen);
    return html`<p class="small">${titled(chosen)}</p>
      <p class="worked-value number">${shown(chosen)}</p><p>${filled(texts[`how-${text}`], values)}</p>
      ${pairs?.length || single?.length ? html`<p class="products">${pairs?.map(([one, other], index) => html`${index ? " + " : ""}<span class="product">${operand(one)} · ${operand(other)}</span>`)}${single?.map((each, index) => html`${index ? " , " : ""}${operand(each)}`)}${bias ? html` + ${operand(bias)}` : ""}</p>` : ""}
      ${check()}${way.length ? html`<button @click=${() => choose(way.at(-1), way.slice(0, -1))}>${texts.back}</button>` : ""}`;
  }

  const lossesText = () => filled(texts.losses, { losses: record.steps.slice(0, state.step + 1).map((step) => number(step.loss, 4)).join(", ") });

  function body() {
    return html`<p class="result">${state.phase === "forward" ? "" : html`<button class="followed" @click=${() => choose({ name: "loss", at: [] })}>${filled(texts["the-loss"], { loss: record.steps[state.step].loss })}</button> `}${lossesText()}</p>
      <div class="step-layout"><div class="step-panels">${PANELS[state.phase].map(panels)}</div>
        <section class="arithmetic-card" aria-label=${texts.worked}><h3>${texts.worked}</h3>${arithmetic()}</section></div>
      <p class="small">${texts.legend}</p>`;
  }

  return {
    view() {
      ask();
      if (!record) return room.waiting();
      const set = (patch) => { Object.assign(state, patch); [chosen, way, telling] = [null, [], true]; room.changed(); };
      return html`<div class="step-widget"><div class="controls">
          ${choice({ label: texts.digit, options: DIGITS.map((each) => [each, each]), value: state.digit, change: (digit) => set({ digit }) })}
          ${choice({ label: texts.rate, options: RATES.map((each) => [each, each]), value: state.rate, change: (rate) => set({ rate }) })}
          ${segments({ label: texts.phase, options: PHASES.map((each) => [each, texts[each]]), value: state.phase, change: (phase) => { at(state.step * PHASES.length + PHASES.indexOf(phase)); room.changed(); } })}</div>
        ${player.view(record.steps.length * PHASES.length, position(), `${filled(texts.position, { step: state.step + 1, phase: texts[state.phase] })}. ${filled(texts["the-loss"], { loss: number(record.steps[state.step].loss, 4) })}`)}
        ${body()}</div>`;
    },
    set({ step = 0, phase = "forward", select }) {
      at(Math.max(0, Math.min(3, Math.floor(step))) * PHASES.length + Math.max(0, PHASES.indexOf(phase)));
      way = [];
      chosen = select in SELECTED ? { name: select, at: SELECTED[select](Number(state.digit)) } : null;
      room.changed();
    },
    task(id) {
      if (!record) return { done: false };
      if (id === "fell") return { done: state.step === 3 && state.rate === "0.1", value: Number(record.steps[3].loss.toFixed(3)) };
      if (id === "check") return { done: chosen?.name === "d_weights" };
      return { done: chosen?.name === "d_map" && worked(record, state.step, chosen).text === "blocked" };
    },
    close: () => player.close(),
  };
}
