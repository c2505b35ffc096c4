/** Chapter 7: the catalogue's networks by year, over their parameters or the challenge's errors. */
import { html } from "lit-html";
import { made, shapeElement } from "convscope/elements";
import { segments } from "convscope/learn/controls";
import { fittedWidth } from "convscope/learn/fitted_width";
import { createPlayer } from "convscope/learn/player";
import { loaded } from "convscope/store";
import { shape, short, whole } from "convscope/units";

const [HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [300, 56, 16, 24, 30];
const WIDTHS = [260, 720]; // least and most
const LARGEST_ERROR = 30; // percent, the end of the axis
const ALEXNET = "alexnet-2012";

/** @param {any} room */
export function createTimeline(room) {
  const { texts, filled } = room;
  const state = { index: 0, axis: "parameters", network: "" };
  let record = null;
  let asked = false;
  let byHand = false; // whether the learner chose the network
  const chart = made("div", "timeline-chart");
  chart.setAttribute("role", "img");
  const svg = shapeElement("svg", { "aria-hidden": "true" }, chart);
  const width = fittedWidth(chart, room.changed, WIDTHS);
  const player = createPlayer({ words: room.words, label: texts.years, seek: (index) => { state.index = index; byHand = true; }, changed: room.changed });

  function ask() {
    if (asked) return;
    asked = true;
    room.record("history").then((found) => {
      record = found;
      choose(state.network);
      room.changed();
    }, () => { asked = false; });
  }

  function choose(name) {
    const index = record.networks.findIndex((each) => each.name === name);
    if (index >= 0) state.index = index;
  }

  /** Return a network or an entry with its year as text, which has no thousands. */
  const dated = (each) => ({ ...each, year: String(each.year) });
  const x = (year) => LEFT + ((year - record.first) / (record.last - record.first)) * (width() - LEFT - RIGHT);
  const ofChallenge = (name) => record.challenge.find((each) => each.name === name);
  /** The error is that of the challenge's entry, which may have another name than the network of the catalogue. */
  const titleOf = (each) => (state.axis === "error" && ofChallenge(each.name)?.title) || each.title;

  /** Ends of the axis of parameters, as powers of ten. */
  const powers = () => {
    const all = record.networks.map((each) => Math.log10(each.parameters));
    return [Math.floor(Math.min(...all)), Math.ceil(Math.max(...all))];
  };

  function heightOf(share) {
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
  }

  function grid(y, text) {
    shapeElement("line", { x1: LEFT, x2: width() - RIGHT, y1: y, y2: y, class: "chart-line" }, svg);
    const label = shapeElement("text", { x: LEFT - 8, y, class: "chart-label end" }, svg);
    label.textContent = text;
  }

  function mark(each, y, chosen) {
    const circle = shapeElement("circle", { cx: x(each.year), cy: y, r: chosen ? 8 : 5, class: chosen ? "node chosen" : "node" }, svg);
    circle.addEventListener("click", () => { choose(each.name); byHand = true; room.changed(); });
    const title = shapeElement("title", {}, circle);
    title.textContent = filled(texts.position, { ...dated(each), title: titleOf(each) });
    if (!chosen) return;
    const late = each.year > 2010;
    const label = shapeElement("text", { x: x(each.year) + (late ? 8 : 2), y: y - 18, class: `chart-name${late ? " end" : ""}` }, svg);
    label.textContent = titleOf(each);
  }

  function draw(chosen) {
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width()} ${HEIGHT}`);
    const byError = state.axis === "error";
    const [low, high] = powers();
    if (byError) for (const percent of [0, 10, 20, 30]) grid(heightOf(percent / LARGEST_ERROR), `${percent} %`);
    else for (let power = low; power <= high; power += 1) grid(heightOf((power - low) / (high - low)), short(10 ** power).replace(".0", ""));
    for (let year = record.first; year <= record.last; year += 4) {
      const label = shapeElement("text", { x: x(year), y: HEIGHT - 12, class: "chart-label middle" }, svg);
      label.textContent = String(year);
    }
    if (byError) {
      const y = heightOf(record.human / LARGEST_ERROR);
      shapeElement("line", { x1: LEFT, x2: width() - RIGHT, y1: y, y2: y, class: "chart-person" }, svg);
      const label = shapeElement("text", { x: LEFT + 6, y: y + 10, class: "chart-label" }, svg);
      label.textContent = filled(texts.person, record);
    }
    const place = (each) => (byError ? heightOf((ofChallenge(each.name)?.error ?? NaN) / LARGEST_ERROR) : heightOf((Math.log10(each.parameters) - low) / (high - low)));
    const shown = record.networks.filter((each) => Number.isFinite(place(each)));
    for (const each of shown.filter((one) => one !== chosen)) mark(each, place(each), false);
    if (shown.includes(chosen)) mark(chosen, place(chosen), true);
    chart.setAttribute("aria-label", filled(texts["chart-label"], { ...dated(chosen), first: String(record.first), last: String(record.last), title: titleOf(chosen), axis: texts[state.axis] }));
  }

  function facts(each) {
    const best = ofChallenge(each.name);
    const rows = [
      ["facts-year", each.year], ["facts-parameters", whole(each.parameters)], ["facts-layers", each.layers ?? texts.unknown],
      ["facts-input", shape(each.input)], ["facts-error", each.error ?? texts.unknown], ["facts-paper", each.paper],
    ];
    return html`<section class="network-card"><h3>${each.title}</h3><p>${each.idea}</p>
      <dl class="network-facts">${rows.map(([name, value]) => html`<div><dt>${texts[name]}</dt><dd>${value}</dd></div>`)}</dl>
      ${best ? html`<p>${filled(texts.challenge, dated(best))}</p>` : ""}
      ${loaded.session?.offline ? html`<p class="small">${texts["open-copy"]}</p><pre tabindex="0">convscope studio ${each.name}</pre>` : html`<a class="button" href=${`#/explore?v=1&m=${encodeURIComponent(each.name)}`}>${texts.open}</a>`}</section>`;
  }

  return {
    view() {
      ask();
      if (!record) return room.waiting();
      const chosen = record.networks[state.index];
      draw(chosen);
      return html`<div class="controls">${segments({ label: texts.axis, options: [["parameters", texts.parameters], ["error", texts.error]], value: state.axis, change: (axis) => { state.axis = axis; room.changed(); } })}</div>
        ${chart}${player.view(record.networks.length, state.index, filled(texts.position, dated(chosen)))}${facts(chosen)}`;
    },
    set({ network = "", axis }) {
      Object.assign(state, { network });
      byHand = false;
      if (axis === "parameters" || axis === "error") state.axis = axis;
      if (record) choose(network);
    },
    task() {
      if (!record || !byHand) return { done: false };
      const each = record.networks[state.index];
      const alexnet = record.networks.find((one) => one.name === ALEXNET);
      return { done: each.year > 2014 && each.parameters < alexnet.parameters && Boolean(ofChallenge(each.name)) };
    },
    close: () => player.close(),
  };
}
