/**
 * Chapter 5: a picture that is moved, its map before and after pooling, and predictions of moved pictures. Maps are looked
 * up: that of a shift by d is that of d modulo the stride, moved by whole cells (see course/records/shifting.py).
 */
import { html, nothing } from "lit-html";
import { colourTable } from "convscope/atlas";
import { choice, segments, slider } from "convscope/learn/controls";
import { createHeat } from "convscope/learn/heat";
import { createMovable } from "convscope/learn/movable";
import { createPredictions } from "convscope/learn/predictions";

const PICTURES = ["ring", "cross", "star", "digit", "bars"];
const POOLS = ["max", "average", "blur"];
const CHOICES = ["none", ...POOLS];
const FARTHEST = 16;

const modulo = (a, n) => ((a % n) + n) % n;

/** @param {any} room */
export function create(room) {
  const { texts, filled } = room;
  const state = { mode: "maps", picture: "ring", pool: "max", poolings: "1", dy: 0, dx: 0 };
  let record = null;
  let asked = "";
  let answered = ""; // what the record was asked for
  let telling = false; // whether the next record is said, as the learner asked for it

  const picture = createMovable({ move: (dy, dx) => moved(state.dy + dy, state.dx + dx) });
  const map = createHeat({});
  const pooled = createHeat({});
  const predictions = createPredictions(room);

  const keyNow = () => `${state.picture} ${state.poolings}`;

  function ask() {
    const key = keyNow();
    if (key === asked) return;
    asked = key;
    room.record("shifted-picture", { picture: state.picture, poolings: state.poolings }).then((found) => {
      if (asked !== key) return;
      record = found;
      answered = key;
      room.changed();
      if (telling) tell();
    }, () => {
      if (asked !== key) return;
      [asked, telling] = [answered, false];
      if (!answered) return;
      [state.picture, state.poolings] = answered.split(" "); // what is shown stays
      room.changed();
    });
  }

  /** Say what is shown, once its record is there. */
  function tell() {
    telling = answered !== keyNow();
    if (!telling) room.say(summary());
  }

  function moved(dy, dx) {
    const within = (value) => Math.max(-FARTHEST, Math.min(FARTHEST, value));
    Object.assign(state, { dy: within(dy), dx: within(dx) });
    room.changed();
    if (record) room.say(summary());
  }

  const phase = () => [modulo(state.dy, record.stride), modulo(state.dx, record.stride)];
  const errorOf = (pool) => record.errors[pool][phase()[0]][phase()[1]];

  /** The pooled map at a cell, and what it would be if the map had only moved. */
  function cellAt(row, column) {
    const { stride } = record;
    const maps = record.pooled[state.pool];
    const [down, right] = phase();
    const cells = maps[0][0].length;
    const now = maps[down][right][modulo(row - Math.floor(state.dy / stride), cells)][modulo(column - Math.floor(state.dx / stride), cells)];
    const nearest = (shift) => Math.floor(shift / stride + 0.5);
    return [now, maps[0][0][modulo(row - nearest(state.dy), cells)][modulo(column - nearest(state.dx), cells)]];
  }

  function changes() {
    const cells = record.side / record.stride;
    let count = 0;
    for (let at = 0; at < cells * cells; at += 1) {
      const [now, expected] = cellAt(Math.floor(at / cells), at % cells);
      if (now !== expected) count += 1;
    }
    return { count, all: cells * cells };
  }

  function summary() {
    if (!state.dy && !state.dx) return texts.unmoved;
    if (state.pool === "none") return filled(texts["only-map"], state);
    const { stride } = record;
    const exact = state.dy % stride === 0 && state.dx % stride === 0;
    const values = { ...state, stride, ...changes(), down_cells: state.dy / stride, right_cells: state.dx / stride };
    return filled(texts[exact ? "exact" : "inexact"], values);
  }

  function paint() {
    const { side, stride } = record;
    const cells = side / stride;
    const highest = Math.max(...record.map.flat(), 1);
    const grey = (value) => [value, value, value];
    const table = colourTable("cividis");
    const colour = (value) => {
      const pixel = table[Math.round((255 * Math.min(value, highest)) / highest)];
      return [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255];
    };
    const back = (rows) => (row, column) => rows[modulo(row - state.dy, side)][modulo(column - state.dx, side)];
    const [pixelAt, mapAt] = [back(record.picture), back(record.map)];
    picture.update({ rows: side, columns: side, colour: (row, column) => grey(pixelAt(row, column)), label: filled(texts["picture-label"], state) });
    map.update({ rows: side, columns: side, colour: (row, column) => colour(mapAt(row, column)), label: texts["map-label"] });
    if (state.pool === "none") return;
    pooled.update({
      rows: cells, columns: cells, colour: (row, column) => colour(cellAt(row, column)[0]),
      cross: (row, column) => { const [now, expected] = cellAt(row, column); return now !== expected; },
      label: filled(texts["pooled-label"], changes()),
    });
  }

  function maps() {
    if (!record) return room.waiting();
    paint();
    const { side, stride } = record;
    return html`<div class="figures">
        <figure><figcaption>${filled(texts["the-picture"], { side })}</figcaption>${picture.element}</figure>
        <figure><figcaption>${texts["the-map"]}</figcaption>${map.element}</figure>
        ${state.pool === "none" ? nothing : html`<figure><figcaption>${filled(texts["the-pooled"], { side: side / stride })}</figcaption>${pooled.element}</figure>`}
      </div>
      <p class="result">${summary()}</p>
      ${state.pool === "none" ? nothing : errors()}`;
  }

  function errors() {
    const [down, right] = phase();
    const means = record.means[state.pool];
    return html`<p class="small">${texts.crossed}</p>
      <p class="small">${texts.error}</p><dl class="meters">${POOLS.map((pool) => html`<div data-chosen=${String(pool === state.pool)}>
        <dt>${texts[pool]}</dt><dd><span class="bar-track"><span class="bar-fill" .style=${`width:${Math.min(100, 100 * errorOf(pool))}%`}></span></span><span class="number">${errorOf(pool).toFixed(3)}</span></dd></div>`)}</dl>
      <p class="small">${filled(texts.mean, { mean: means[down][right].toFixed(1), before: means[0][0].toFixed(1) })}</p>`;
  }

  function mapControls() {
    const set = (patch) => { Object.assign(state, patch); room.changed(); tell(); };
    return html`<div class="controls">
      ${choice({ label: texts.picture, options: PICTURES.map((name) => [name, texts[name]]), value: state.picture, change: (value) => set({ picture: value }) })}
      ${segments({ label: texts.pool, options: CHOICES.map((name) => [name, texts[name]]), value: state.pool, titled: true, change: (value) => set({ pool: value }) })}
      ${state.pool === "none" ? nothing : segments({ label: texts.poolings, titled: true, options: [["1", texts.once], ["2", texts.twice]], value: state.poolings, change: (value) => set({ poolings: value }) })}
      <div class="shifts">${slider({ label: texts.down, value: state.dy, text: filled(texts.pixels, { count: state.dy }), low: -FARTHEST, high: FARTHEST, change: (value) => moved(value, state.dx) })}
      ${slider({ label: texts.right, value: state.dx, text: filled(texts.pixels, { count: state.dx }), low: -FARTHEST, high: FARTHEST, change: (value) => moved(state.dy, value) })}
      <button ?disabled=${!state.dy && !state.dx} @click=${() => moved(0, 0)}>${texts.reset}</button></div></div>`;
  }

  return {
    view() {
      if (state.mode === "maps") ask();
      return html`<div class="pooling-widget">
        ${segments({ label: texts.mode, options: [["maps", texts.maps], ["predictions", texts.predictions]], value: state.mode, change: (mode) => { state.mode = mode; room.changed(); } })}
        ${state.mode === "maps" ? html`${mapControls()}${maps()}` : predictions.view()}</div>`;
    },
    set(settings) {
      for (const [key, value] of Object.entries(settings)) if (key in state) state[key] = value;
      state.dy = Math.max(-FARTHEST, Math.min(FARTHEST, Number(state.dy) || 0));
      state.dx = Math.max(-FARTHEST, Math.min(FARTHEST, Number(state.dx) || 0));
      state.poolings = String(state.poolings);
      room.changed();
    },
    task(id) {
      if (id === "flip") return { done: predictions.differ() };
      if (!record || answered !== keyNow() || state.mode !== "maps" || state.pool === "none") return { done: false };
      const exact = errorOf(state.pool) === 0;
      if (id === "exact") return { done: exact && state.pool === "max" && record.stride === 2 && state.dy !== 0 && state.dx !== 0 };
      return { done: exact && record.stride === 4 && state.dy === 0 && state.dx === record.stride, value: record.stride };
    },
    close() {},
  };
}
