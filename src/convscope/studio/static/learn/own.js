/** "In your own network": the chapter's question, asked of a network that the learner names. */
import { html, nothing } from "lit-html";
import * as api from "convscope/api";
import { commandValues, FIRST, isConvolution, layersOf } from "convscope/learn/own_commands";
import { forgetRuns, OWN_MORE, table } from "convscope/learn/own_more";
import { filled, numberText } from "convscope/learn/fill";
import { prose } from "convscope/learn/prose";
import { formatState } from "convscope/state";
import { loaded } from "convscope/store";

const MOST_ROWS = 60;
const MOST_WARNINGS = 8;

const isDense = (unit) => /^linear/i.test(unit.type);
const isPooling = (unit) => /pool/i.test(unit.type);
/** The product of the strides up to a layer, along each axis; unknown where a layer reads the whole image. */
const strideText = (unit) => (unit.field?.stride?.every(Number.isFinite) ? unit.field.stride.join("×") : "–");
const shapeText = (shape) => shape.map(numberText).join("×") || "";

/** A layer's name as a link that shows it in Explore. @param {string} model @param {any} unit */
const layerLink = (model, unit) => html`<a href=${formatState({ room: "explore", model, value: unit.value ?? "" })}>${unit.name}</a>`;

/**
 * What each question shows of a network.
 * @type {Object<string, (graph: any, model: string, texts: any) => any>}
 */
const OWN = {
  kinds(graph, model, texts) {
    const layers = layersOf(graph);
    const total = Math.max(1, graph.totals.parameters);
    const sum = (units) => units.reduce((all, unit) => all + (unit.parameters ?? 0), 0);
    const kinds = [[texts["own-dense"], layers.filter(isDense)], [texts["own-convolution"], layers.filter(isConvolution)]];
    const rest = layers.filter((unit) => !isDense(unit) && !isConvolution(unit));
    const rows = [...kinds, [texts["own-other"], rest]].map(([title, units]) => [title, units.filter((unit) => unit.parameters || units !== rest).length, sum(units), `${((100 * sum(units)) / total).toFixed(1)} %`]);
    const largest = layers.filter((unit) => unit.parameters).sort((a, b) => b.parameters - a.parameters)[0];
    return html`${table([texts["own-kind"], texts["own-layers"], texts["own-parameters"], texts["own-share"]], rows)}
      ${largest ? html`<p>${texts["own-largest"]} ${layerLink(model, largest)}: ${numberText(largest.parameters)}</p>` : nothing}`;
  },
  maps(graph, model, texts) {
    const first = layersOf(graph).find(isConvolution);
    return first ? html`<p>${texts["own-first"]} ${layerLink(model, first)}: ${shapeText(first.shape)}</p>` : null;
  },
  layers(graph, model, texts) {
    const rows = layersOf(graph).filter((unit) => isConvolution(unit) || isPooling(unit)).slice(0, MOST_ROWS)
      .map((unit) => [layerLink(model, unit), unit.type, shapeText(unit.shape), strideText(unit)]);
    const warnings = (graph.warnings ?? []).slice(0, MOST_WARNINGS).map((one) => html`<li><strong>${one.text}</strong> ${one.advice ? `→ ${one.advice}` : nothing}</li>`);
    return rows.length ? html`${table([texts["own-layer"], texts["own-type"], texts["own-shape"], texts["own-stride"]], rows)}${warnings.length ? html`<ul class="warned">${warnings}</ul>` : nothing}` : null;
  },
  costs(graph, model, texts) {
    const rows = layersOf(graph).filter((unit) => unit.parameters).slice(0, MOST_ROWS)
      .map((unit) => [layerLink(model, unit), unit.type, shapeText(unit.shape), unit.parameters, unit.macs ?? ""]);
    return rows.length ? table([texts["own-layer"], texts["own-type"], texts["own-shape"], texts["own-parameters"], texts["own-macs"]], rows) : null;
  },
  ...OWN_MORE,
};

/** @param {{chapter: any, words: any, changed: () => void}} how */
export function createOwn({ chapter, words, changed }) {
  const { own, widget } = chapter;
  let model = "";
  /** @type {any} */
  let graph = null;
  let waiting = false;
  let problem = "";

  const models = () => (loaded.session?.offline ? [] : loaded.session?.models ?? []);

  async function ask() {
    const asked = model;
    [waiting, problem, graph] = [true, "", null];
    forgetRuns();
    changed();
    try {
      const found = await api.graph(asked, "learn");
      if (asked === model) graph = found;
    } catch (error) {
      problem = loaded.session?.ready ? error.message : words["own-starting"];
    }
    waiting = false;
    changed();
  }

  function chooser() {
    return html`<div class="row"><label class="field"><span>${words["own-model"]}</span><select @change=${(event) => { model = event.target.value; graph = null; problem = ""; changed(); }}>${models().map((one) => html`<option
      value=${one.key} .selected=${one.key === model}>${one.title}</option>`)}</select></label>
      <button class="primary" @click=${ask} ?disabled=${waiting}>${words["own-ask"]}</button>
      <a class="button" href=${formatState({ room: "explore", model })}>${words["own-open"]}</a>
      <span role="status">${waiting ? html`<span class="muted"><span class="spinner"></span> ${filled(words["own-waiting"], { model })}</span>` : graph ? html`<span class="hidden-text">${filled(words["own-answered"], { model })}</span>` : nothing}</span></div>`;
  }

  function view() {
    const found = models();
    if (!model && found.length) model = (found.find((one) => one.kind === "given") ?? found.find((one) => one.kind === "run") ?? found.find((one) => one.key === FIRST.key) ?? found[0]).key;
    const values = commandValues(found.find((one) => one.key === model), graph);
    return html`<section class="own" aria-labelledby="own-title"><h2 id="own-title">${words.own}</h2>
      ${own.text.map((paragraph) => html`<p>${prose(paragraph)}</p>`)}
      ${found.length ? chooser() : html`<p class="muted">${words["own-none"]}</p>`}
      ${problem ? html`<p class="problem" role="alert">${problem}</p>` : nothing}
      ${graph ? OWN[own.question]?.(graph, model, { ...words, ...widget.texts }) ?? html`<p class="muted">${words["own-empty"]}</p>` : nothing}
      <h3>${words["own-type"]}</h3>
      ${own.commands.map((command) => html`<pre tabindex="0">${filled(command, values)}</pre>`)}
    </section>`;
  }

  return { view };
}
