/** Runs beside each other: curves, settings that differ, scores by class. */
import { html, nothing } from "lit-html";
import { options } from "convscope/options";
import { Chart } from "convscope/train_chart";
import { duration, joined, spreadOf, words } from "convscope/train_data";
import { chip, shownValue, table } from "convscope/train_run";
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
    } catch (error) {
      problem = error.message;
    }
    if (closed) return;
    draw();
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

  const select = (label, value, choices, chosen) => html`<label class="field"><span>${label}</span><select @change=${(event) => { chosen(event.target.value); draw(); changed(); }}>${options(choices, value)}</select></label>`;

  function view() {
    if (!found) return html`<p class="empty">${problem || TRAIN.loading}</p>`;
    const { runs, settings, notes } = found;
    const runNames = runs.map((run) => run.name);
    const mixed = new Set(runs.map((run) => Boolean(run.multi_label))).size > 1;
    return html`<article class="train-run" aria-labelledby="compare-title"><header class="run-head"><h1 id="compare-title">${TEXT.title}</h1></header>
      ${problem ? html`<p class="problem" role="alert">${problem}</p>` : nothing}
      ${[...notes, ...(mixed ? [TEXT.mixed] : [])].map((note) => html`<p class="muted">${note}</p>`)}
      <div class="row">${select(TEXT.measure, measure, Object.entries(TEXT.measures), (value) => { measure = value; })}
        ${select(TEXT.x, along, [["epoch", TEXT.byEpoch], ["seconds", TEXT.bySeconds]], (value) => { along = value; })}</div>
      ${chart.element}
      <section class="card" aria-labelledby="results-title"><h2 id="results-title">${TEXT.results}</h2>
        ${table(TEXT.results, [TEXT.run, TEXT.state, TEXT.bestEpoch, TEXT.bestValidation, TEXT.score, TEXT.seconds], runs.map((run) => [
          html`<button class="link" @click=${() => context.train({ run: run.name })}>${run.name}</button>`, chip(run.state), run.best_epoch ?? "–", percent(run.best_validation),
          run.scores ? `${percent(run.scores.measure)} (${TEXT.score_of(run.scores)})` : "–", duration(run.seconds)]))}</section>
      <section class="card" aria-labelledby="differ-title"><h2 id="differ-title">${TEXT.settings}</h2>
        ${settings.length ? table(TEXT.settings, [TRAIN.run.setting, ...runNames], settings.map((row) => [words(row.name), ...row.values.map(shownValue)])) : html`<p class="muted">${TEXT.same}</p>`}</section>
      ${classes(runNames)}</article>`;
  }

  function classes(runNames) {
    if (!found.classes.length) return html`<section class="card"><h2>${TEXT.classes}</h2><p class="muted">${TEXT.noClasses}</p></section>`;
    const rows = found.classes.map((each) => {
      const values = each.runs.map((score) => score?.[byClass] ?? null);
      return [each.name, whole(each.runs.find(Boolean)?.images ?? 0), ...[...values, spreadOf(values)].map(percent)];
    });
    return html`<section class="card" aria-labelledby="classes-title"><div class="row"><h2 id="classes-title">${TEXT.classes}</h2><span class="spread"></span>
        ${select(TEXT.measure, byClass, [["recall", TEXT.recall], ["f1", TEXT.f1]], (value) => { byClass = value; })}</div>
      ${table(TEXT.classes, [TRAIN.run.class, TRAIN.run.imagesColumn, ...runNames, TEXT.widest], rows)}</section>`;
  }

  function close() {
    closed = true;
    clearTimeout(timer);
    chart.close();
  }

  load();
  return { names, view, close };
}
