/** Chapter 7: the gradient norm of every layer of a small network, before and after a training. */
import { html } from "lit-html";
import { made, shapeElement } from "convscope/elements";
import { check, segments } from "convscope/learn/controls";
import { powerOfTen } from "convscope/learn/fill";
import { fittedWidth } from "convscope/learn/fitted_width";
import { number, percent } from "convscope/units";

const [HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [270, 52, 14, 14, 44];
const WIDTHS = [260, 720]; // least and most
const ACTIVATIONS = ["sigmoid", "tanh", "relu"];
const DEEPEST = -9; // power of ten at the chart's lower end, unless a norm is smaller

/** @param {any} room */
export function createGradients(room) {
  const { texts, filled } = room;
  const state = { activation: "sigmoid", dropout: false, skip: false, kept: "" };
  let record = null;
  let asked = false;
  const chart = made("div", "norms-chart");
  chart.setAttribute("role", "img");
  const svg = shapeElement("svg", { "aria-hidden": "true" }, chart);
  const width = fittedWidth(chart, room.changed, WIDTHS);

  function ask() {
    if (asked) return;
    asked = true;
    room.record("gradient-norms").then((found) => { record = found; room.changed(); }, () => { asked = false; });
  }

  const key = () => `${state.activation}-${state.dropout ? "dropout" : "plain"}-${state.skip ? "skip" : "chain"}`;

  function nameOf(of) {
    const [activation, dropout, skip] = of.split("-");
    const parts = [dropout === "dropout" ? "-dropout" : "", skip === "skip" ? "-skip" : ""].join("") || "-plain";
    return filled(texts[`name${parts}`], { activation: texts[activation] });
  }

  function lines() {
    const now = record.networks[key()];
    const found = [["before", now.before], ["after", now.after]];
    if (state.kept) found.unshift(["compared-before", record.networks[state.kept].before]);
    return found;
  }

  const captions = () => ({ before: texts.before, after: filled(texts.after, record), "compared-before": texts["compared-before"] });

  function draw() {
    const shown = lines();
    const all = Object.values(record.networks).flatMap((each) => [...each.before, ...each.after]);
    const [low, high] = [Math.min(DEEPEST, Math.floor(Math.min(...all))), Math.ceil(Math.max(...all))];
    const x = (at) => LEFT + (at / (record.layers - 1)) * (width() - LEFT - RIGHT);
    const y = (power) => TOP + ((high - power) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width()} ${HEIGHT}`);
    for (let power = low; power <= high; power += 1) {
      if ((high - power) % 2) continue;
      shapeElement("line", { x1: LEFT, x2: width() - RIGHT, y1: y(power), y2: y(power), class: "chart-line" }, svg);
      shapeElement("text", { x: LEFT - 8, y: y(power), class: "chart-label end" }, svg).textContent = powerOfTen(power);
    }
    for (let at = 0; at < record.layers; at += 1) shapeElement("text", { x: x(at), y: HEIGHT - 30, class: "chart-label middle" }, svg).textContent = String(at + 1);
    shapeElement("text", { x: (LEFT + width() - RIGHT) / 2, y: HEIGHT - 10, class: "chart-label middle" }, svg).textContent = texts["layer-axis"];
    for (const [name, values] of shown) {
      shapeElement("polyline", { points: values.map((value, at) => `${x(at)},${y(value)}`).join(" "), class: `norms ${name}` }, svg);
      values.forEach((value, at) => shapeElement("circle", { cx: x(at), cy: y(value), r: 4, class: `norms-dot ${name}` }, svg));
    }
    chart.setAttribute("aria-label", inWords());
  }

  /** Return what the chart shows, for readers who do not see it. */
  function inWords() {
    const ends = ([name, values]) => filled(texts["norms-ends"], { line: captions()[name], first: values[0].toFixed(1), last: values.at(-1).toFixed(1) });
    return `${filled(texts["norms-label"], { layers: record.layers, name: nameOf(key()) })} ${lines().map(ends).join(" ")}`;
  }

  function learned(of) {
    const { losses, accuracy } = record.networks[of];
    return html`<p class="result">${filled(texts.learned, { name: nameOf(of), begin: number(losses[0]), end: number(losses.at(-1)), accuracy: percent(accuracy), images: record.held_out, draws: record.draws })}</p>`;
  }

  return {
    view() {
      ask();
      if (!record) return room.waiting();
      draw();
      const take = (patch) => { Object.assign(state, patch); room.changed(); room.say(inWords()); };
      return html`<div class="controls">
          ${segments({ label: texts.activation, options: ACTIVATIONS.map((name) => [name, texts[name]]), value: state.activation, change: (activation) => take({ activation }) })}
          ${check({ label: texts.dropout, value: state.dropout, change: (dropout) => take({ dropout }) })}
          ${check({ label: texts.skip, value: state.skip, change: (skip) => take({ skip }) })}
          ${state.kept ? html`<button @click=${() => take({ kept: "" })}>${texts.forget}</button>` : html`<button @click=${() => take({ kept: key() })}>${texts.keep}</button>`}</div>
        <figure class="chart"><figcaption>${texts.norms} <span class="key">${lines().map(([name]) => html`<i class=${`swatch ${name}`}></i>${captions()[name]} `)}</span></figcaption>${chart}</figure>
        ${learned(key())}${state.kept ? html`<p class="small">${filled(texts.kept, { name: nameOf(state.kept) })}</p>${learned(state.kept)}` : ""}
        <p class="small">${filled(texts.about, { ...record, convolutions: record.layers - 1 })}</p>`;
    },
    set({ activation, dropout, skip }) {
      if (ACTIVATIONS.includes(activation)) state.activation = activation;
      Object.assign(state, { dropout: Boolean(dropout), skip: Boolean(skip) });
    },
    task(id) {
      if (!record) return { done: false };
      const { before, accuracy } = record.networks[key()];
      if (id === "even") return { done: key() === "tanh-plain-chain", value: Math.abs(Math.round(before.at(-1) - before[0])) };
      return { done: accuracy === Math.max(...Object.values(record.networks).map((each) => each.accuracy)) };
    },
  };
}
