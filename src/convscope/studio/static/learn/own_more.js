/** What the later chapters show of the learner's own network, by the name of the question. */
import { html } from "lit-html";
import * as api from "convscope/api";
import { along, filled, numberText, scientific } from "convscope/learn/fill";
import { formatState, runNameOf } from "convscope/state";
import { changed } from "convscope/store";
import { number, percent } from "convscope/units";

const FEW = 1e-3; // of the largest norm: a layer below it hardly learns

const layersOf = (graph) => graph.units.filter((unit) => unit.kind !== "block" && unit.type !== "input" && unit.field?.size);

/** @param {string[]} head @param {any[][]} rows of numbers, texts and templates */
export const table = (head, rows) => html`<div class="table-frame" tabindex="0" role="region" aria-label=${head.join(", ")}><table><thead><tr>${head.map((text) => html`<th scope="col">${text}</th>`)}</tr></thead>
  <tbody>${rows.map((row) => html`<tr>${row.map((cell) => (typeof cell === "number" ? html`<td class="number">${numberText(cell)}</td>` : html`<td>${cell}</td>`))}</tr>`)}</tbody></table></div>`;

const toExplore = (model, unit, more = {}) => html`<a href=${formatState({ room: "explore", model, value: unit.value ?? "", ...more })}>${unit.name}</a>`;

/** Runs that were asked for, by name: null while they are on their way. @type {Map<string, any>} */
const runs = new Map();

function runOf(model) {
  const name = runNameOf(model);
  if (!name) return undefined;
  if (!runs.has(name)) {
    runs.set(name, null);
    api.request(`/api/runs/${encodeURIComponent(name)}`).then(
      (found) => { runs.set(name, found); changed(); },
      (problem) => { runs.set(name, { problem: problem.message }); changed(); },
    );
  }
  return runs.get(name);
}

/** Ask for each run anew: one that trains has more to show. */
export const forgetRuns = () => runs.clear();

function withRun(model, texts, show) {
  const run = runOf(model);
  if (run === undefined) return html`<p class="muted">${texts["own-run"]}</p>`;
  if (run === null) return html`<p><span class="spinner"></span></p>`;
  return run.problem ? html`<p class="problem" role="alert">${run.problem}</p>` : show(run);
}

/** @type {Object<string, (graph: any, model: string, texts: any) => any>} */
export const OWN_MORE = {
  shift(graph, model, texts) {
    const layers = layersOf(graph).filter((unit) => unit.shape?.length === 3 && unit.field.stride.every(Number.isInteger));
    const last = layers.at(-1);
    if (!last) return null;
    const stride = Math.max(...last.field.stride);
    const shifted = { interventions: [{ op: "shift", dy: 0, dx: 1 }] };
    return html`<p>${filled(texts["own-exact"], { layer: last.name, stride })}</p><p>${texts["own-shifted"]} ${toExplore(model, last, shifted)}</p>`;
  },
  fields(graph, model, texts) {
    const layers = layersOf(graph).filter((unit, at, all) => !at || String(unit.field.size) !== String(all[at - 1].field.size));
    if (!layers.length) return null;
    const rows = layers.slice(0, 60).map((unit) => [toExplore(model, unit), along(unit.field.size), along(unit.field.stride), unit.shape.map(numberText).join("×")]);
    return table([texts.row, texts.field, texts.jump, texts["own-shape"]], rows);
  },
  norms: (graph, model, texts) => withRun(model, texts, (run) => {
    const { layers = [], gradients = [] } = run.norms ?? {};
    const last = gradients.map((each) => each.findLast((value) => value !== null) ?? null);
    const most = Math.max(...last.map((value) => value ?? 0));
    if (!most) return html`<p class="muted">${texts["own-no-norms"]}</p>`;
    const rows = layers.map((name, at) => [name, scientific(number(last[at])), last[at] !== null && last[at] < FEW * most ? texts["own-hardly"] : ""]);
    return table([texts["own-layer-name"], texts.norms, ""], rows);
  }),
  train: (graph, model, texts) => withRun(model, texts, (run) => {
    const measure = run.scores?.measure ?? run.best_validation;
    const values = { model: run.model, epochs: run.rows.length, loss: number(run.rows.at(-1)?.val_loss ?? null), accuracy: percent(measure), of: run.scores ? texts["own-test"] : texts["own-validation"] };
    return html`<p>${filled(texts["own-came-to"], values)}</p>`;
  }),
};
