/** Runs beside each other: one measure of all on one chart, the settings that differ, scores by class. */
import { html, nothing } from "lit-html";
import { Chart } from "convscope/train_chart";
import { duration, joined, spreadOf, words } from "convscope/train_data";
import { chip, shownValue } from "convscope/train_run";
import { TRAIN } from "convscope/train_strings";
import { percent, whole } from "convscope/units";

const TEXT = TRAIN.compare;
const ACCURACIES = ["val_accuracy", "train_accuracy"];
const AGAIN_MS = 3000;

/**
 * Runs that are compared: `view` returns what is drawn.
 * @param {{context: any, names: string[], changed: () => void}} owner
 */
export function createComparison({ context, names, changed }) {
  let found = null;
  let problem = "";
  let closed = false;
  let measure = "val_accuracy";
  let along = "epoch";
  let byClass = "recall";
  let timer = 0;
  const chart = new Chart({ title: TEXT.title, x: TRAIN.run.epochLabel });

  async function load() {
    clearTimeout(timer);
    try {
      found = await context.api.request(`/api/compare?${names.map((name) => `run=${encodeURIComponent(name)}`).join("&")}`);
      problem = "";
      draw();
    } catch (error) {
      problem = error.message;
    }
    if (closed) return;
    changed();
    // Curves go on while one of the runs trains.
    const alive = found?.runs.some((run) => ["training", "paused", "pausing", "stopping", "finishing"].includes(run.state));
    if (alive || problem) timer = setTimeout(load, AGAIN_MS);
  }

  function draw() {
    if (!found) return;
    chart.options.title = `${TEXT.measures[measure]}`;
    chart.options.x = along === "epoch" ? TRAIN.run.epochLabel : TRAIN.run.secondsLabel;
    chart.options.wholes = along === "epoch";
    chart.options.format = ACCURACIES.includes(measure) ? percent : undefined;
    chart.names = []; // the axes may have changed
    chart.show(found.runs.map((run) => run.name), joined(found.runs, along, measure));
  }

  const select = (label, value, choices, chosen) => html`<label class="field"><span>${label}</span><select @change=${(event) => { chosen(event.target.value); draw(); changed(); }}>
    ${choices.map(([key, text]) => html`<option value=${key} .selected=${key === value}>${text}</option>`)}</select></label>`;

  function view() {
    if (!found) return html`<p class="empty">${problem || TRAIN.loading}</p>`;
    const { runs, settings, notes } = found;
    const mixed = new Set(runs.map((run) => Boolean(run.multi_label))).size > 1;
    return html`<article class="train-run" aria-labelledby="compare-title"><header class="run-head"><h1 id="compare-title">${TEXT.title}</h1></header>
      ${problem ? html`<p class="problem" role="alert">${problem}</p>` : nothing}
      ${[...notes, ...(mixed ? [TEXT.mixed] : [])].map((note) => html`<p class="muted">${note}</p>`)}
      <div class="row">${select(TEXT.measure, measure, Object.entries(TEXT.measures), (value) => { measure = value; })}
        ${select(TEXT.x, along, [["epoch", TEXT.byEpoch], ["seconds", TEXT.bySeconds]], (value) => { along = value; })}</div>
      ${chart.element}
      <section class="card" aria-labelledby="results-title"><h2 id="results-title">${TEXT.results}</h2><div class="scroll" tabindex="0" role="group" aria-label=${TEXT.results}><table class="plain">
        <thead><tr>${[TEXT.run, TEXT.state, TEXT.bestEpoch, TEXT.bestValidation, TEXT.score, TEXT.seconds].map((label) => html`<th scope="col">${label}</th>`)}</tr></thead>
        <tbody>${runs.map((run) => html`<tr><th scope="row"><button class="link" @click=${() => context.train({ run: run.name })}>${run.name}</button></th><td>${chip(run.state)}</td><td>${run.best_epoch ?? "–"}</td><td>${percent(run.best_validation)}</td>
          <td>${run.scores ? `${percent(run.scores.measure)} (${TEXT.score_of(run.scores)})` : "–"}</td><td>${duration(run.seconds)}</td></tr>`)}</tbody></table></div></section>
      <section class="card" aria-labelledby="differ-title"><h2 id="differ-title">${TEXT.settings}</h2>
        ${settings.length ? html`<div class="scroll" tabindex="0" role="group" aria-label=${TEXT.settings}><table class="plain"><thead><tr><th scope="col">${TRAIN.run.setting}</th>${runs.map((run) => html`<th scope="col">${run.name}</th>`)}</tr></thead>
          <tbody>${settings.map((row) => html`<tr><th scope="row">${words(row.name)}</th>${row.values.map((value) => html`<td>${shownValue(value)}</td>`)}</tr>`)}</tbody></table></div>` : html`<p class="muted">${TEXT.same}</p>`}</section>
      ${classes(runs)}</article>`;
  }

  function classes(runs) {
    if (!found.classes.length) return html`<section class="card"><h2>${TEXT.classes}</h2><p class="muted">${TEXT.noClasses}</p></section>`;
    const rows = found.classes.map((each) => {
      const values = each.runs.map((score) => score?.[byClass] ?? null);
      return { name: each.name, images: each.runs.find(Boolean)?.images ?? 0, values, spread: spreadOf(values) };
    });
    return html`<section class="card" aria-labelledby="classes-title"><div class="row"><h2 id="classes-title">${TEXT.classes}</h2><span class="spread"></span>
        ${select(TEXT.measure, byClass, [["recall", TEXT.recall], ["f1", TEXT.f1]], (value) => { byClass = value; })}</div>
      <div class="scroll" tabindex="0" role="group" aria-label=${TEXT.classes}><table class="plain"><thead><tr><th scope="col">${TRAIN.run.class}</th><th scope="col">${TRAIN.run.imagesColumn}</th>${runs.map((run) => html`<th scope="col">${run.name}</th>`)}<th scope="col">${TEXT.widest}</th></tr></thead>
      <tbody>${rows.map((row) => html`<tr><th scope="row">${row.name}</th><td>${whole(row.images)}</td>${row.values.map((value) => html`<td>${percent(value)}</td>`)}<td>${percent(row.spread)}</td></tr>`)}</tbody></table></div></section>`;
  }

  function close() {
    closed = true;
    clearTimeout(timer);
    chart.close();
  }

  load();
  return { names, view, close };
}
