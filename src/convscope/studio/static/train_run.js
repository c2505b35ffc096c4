/** One run: how far it is, its curves, filters, maps, scores, settings and log. */
import { html, nothing } from "lit-html";
import { Chart } from "convscope/train_chart";
import { columns, duration, normColumns, shareDone, thinned, withNorms, withRow, words } from "convscope/train_data";
import { createLive } from "convscope/train_live";
import { TRAIN } from "convscope/train_strings";
import { number, percent, whole } from "convscope/units";

const TEXT = TRAIN.run;
const EVENTS = ["epoch", "message", "state", "progress", "view", "process", "restart"];
const MOST_LINES = 400;
const DRAW_MS = 100;
const SHOWN_ROWS = 200;

/**
 * A run that is shown: `view` returns what is drawn, `close` ends its stream of events.
 * @param {{context: any, name: string, changed: () => void}} owner
 */
export function createRun({ context, name, changed }) {
  const path = `/api/runs/${encodeURIComponent(name)}`;
  let record = null;
  let problem = "";
  let said = "";
  let asking = "";
  let after = "";
  let closed = false;
  /** @type {{close: () => void}|null} */
  let source = null;
  let viewing = false;
  let viewAgain = false;
  let drawing = 0;
  const live = createLive();
  const accuracy = (x) => percent(x);
  const charts = {
    loss: new Chart({ title: TEXT.lossTitle, x: TEXT.epochLabel, wholes: true }),
    accuracy: new Chart({ title: TEXT.accuracyTitle, x: TEXT.epochLabel, wholes: true, format: accuracy }),
    gradients: new Chart({ title: TEXT.gradientsTitle, x: TEXT.epochLabel, logarithmic: true }),
    outputs: new Chart({ title: TEXT.outputsTitle, x: TEXT.epochLabel, logarithmic: true }),
    rate: new Chart({ title: TEXT.rateTitle, x: TEXT.epochLabel, wholes: true }),
  };

  async function load() {
    try {
      const found = await context.api.request(path);
      if (closed) return;
      record = found;
      problem = "";
      after = found.events ?? "";
      drawCharts();
      if (found.has_view) askView();
      else if (!found.waiting) live.none(found.alive ? TEXT.noView : TEXT.noViewEver);
      listen();
    } catch (error) {
      if (closed) return;
      const { message, kind } = error;
      problem = message;
      if (kind === "away") setTimeout(() => { if (!closed) load(); }, 2000);
    }
    changed();
  }

  function listen() {
    source?.close();
    source = null;
    if (closed || document.hidden) return;
    source = context.api.events(`${path}/events${after ? `?after=${encodeURIComponent(after)}` : ""}`, { names: EVENTS, event: receive });
  }

  function receive(kind, data, id) {
    if (closed || !record) return;
    if (id) after = id;
    if (kind === "epoch") {
      record.rows = withRow(record.rows ?? [], data);
      drawSoon();
    } else if (kind === "message") record.log = [...(record.log ?? []), data.text].slice(-MOST_LINES);
    else if (kind === "progress") record.progress = data;
    else if (kind === "view") askView();
    else if (kind === "restart") load();
    else if (kind === "process") {
      const had = record.waiting || (record.alive && !data.alive);
      const begun = !record.alive && data.alive;
      record = { ...record, ...data };
      // With the directory, and with the end, there is more than events tell: checkpoints, scores, the report.
      if ((had && !("lines" in data)) || begun) load();
      if (!data.alive) asking = said = "";
    }
    changed();
  }

  async function askView() {
    if (viewing) {
      viewAgain = true;
      return;
    }
    viewing = true;
    try {
      const packet = await context.api.requestPacket(`${path}/live`);
      if (!closed && record) {
        live.show(packet);
        if (record.alive) {
          record.norms = withNorms(record.norms ?? { epochs: [], layers: [], gradients: [], outputs: [] }, packet.header);
          drawSoon();
        }
      }
    } catch (error) {
      if (!closed && !live.packet) live.none(error.message);
    }
    viewing = false;
    if (viewAgain && !closed) {
      viewAgain = false;
      askView();
    }
  }

  /** Draw the curves once for all that comes within a moment: epochs of a small set end many times a second. */
  function drawSoon() {
    drawing ||= setTimeout(() => { drawing = 0; if (!closed) drawCharts(); }, DRAW_MS);
  }

  function drawCharts() {
    const rows = record?.rows ?? [];
    const both = [TEXT.train, TEXT.validation];
    charts.accuracy.options.title = record?.multi_label ? TEXT.mapTitle : TEXT.accuracyTitle;
    charts.loss.show(both, columns(rows, "epoch", ["train_loss", "val_loss"]));
    charts.accuracy.show(both, columns(rows, "epoch", ["train_accuracy", "val_accuracy"]));
    charts.rate.show([TEXT.learningRate], columns(rows, "epoch", ["learning_rate"]));
    drawNorms();
  }

  function drawNorms() {
    const norms = record?.norms;
    for (const kind of ["gradients", "outputs"]) {
      const { layers, data } = norms ? normColumns(norms, kind) : { layers: [], data: [[]] };
      charts[kind].show(layers, layers.length ? data : [[]]);
    }
  }

  async function ask(what) {
    asking = what;
    said = "";
    changed();
    try {
      const found = await context.api.request(`${path}/${what}`, {});
      record = { ...record, ...found }; // with what has come meanwhile
      said = TEXT.asked[what];
    } catch (error) {
      said = error.message;
    }
    asking = "";
    changed();
  }

  function buttons() {
    const { state, progress, alive } = record;
    const waits = state === "paused" || state === "pausing";
    const fixed = progress && !progress.can_pause;
    const best = (record.saved ?? []).filter((each) => each.key);
    return html`<div class="row">
      ${alive ? html`
        ${waits ? html`<button @click=${() => ask("continue")} ?disabled=${Boolean(asking)}>${TEXT.goOn}</button>`
          : html`<button @click=${() => ask("pause")} ?disabled=${Boolean(asking) || state !== "training" || fixed} title=${fixed ? TEXT.elsewhere : nothing}>${TEXT.pause}</button>`}
        <button @click=${() => ask("stop")} ?disabled=${Boolean(asking) || state === "stopping" || state === "finishing"}>${TEXT.stop}</button>` : nothing}
      ${record.has_report && !alive ? html`<a class="button" href=${`${path}/report`} target="_blank" rel="noopener" title=${TEXT.reportHelp}>${TEXT.report}</a>` : nothing}
      ${best.length ? html`<span class="row" role="group" aria-label=${TEXT.exploreAt}><span class="muted small">${TEXT.explore}</span>
        ${best.map((each) => html`<button class="quiet" data-saved=${each.key} @click=${() => context.explore(each.key)}>${each.kind === "best" ? TEXT.best(each.epoch) : TEXT.epoch(each.epoch)}</button>`)}</span>` : nothing}
    </div>`;
  }

  function place() {
    const { progress, alive } = record;
    const share = shareDone(record);
    const at = progress ?? record;
    const parts = [
      TEXT.epochOf(at.epoch, progress?.epochs || record.epochs), TEXT.stepOf(at.step, progress?.steps || record.steps),
      ...(progress && alive ? [TEXT.rate(progress.images_per_second), progress.loss === null ? "" : TEXT.loss(number(progress.loss, 4)), progress.paused ? "" : TEXT.left(duration(progress.seconds_left))] : []),
    ].filter(Boolean);
    return html`<div class="place">
      ${share === null ? nothing : html`<progress aria-label=${TEXT.progress} max="1" .value=${share}></progress>`}
      <p class="number small">${parts.join(" · ")}</p></div>`;
  }

  function view() {
    if (!record) return html`<p class="empty">${problem || TRAIN.loading}</p>`;
    const { state, reason } = record;
    return html`<article class="train-run" aria-labelledby="run-title" data-run-shown=${name} data-state=${state}>
      <header class="run-head"><h1 id="run-title">${name}</h1><span role="status">${chip(state)}</span><span class="spread"></span>${buttons()}</header>
      <div role="status" aria-live="polite" class="small muted">${said}</div>
      ${problem ? html`<p class="problem" role="alert">${problem}</p>` : nothing}
      ${reason && state !== "opening" ? html`<p class=${record.alive ? "muted" : "problem"}>${reason}</p>` : nothing}
      ${record.waiting ? waiting() : html`
        ${place()}
        <section class="charts" aria-label=${TEXT.lossTitle}>${charts.loss.element}${charts.accuracy.element}</section>
        <section class="card" aria-labelledby="live-title"><h2 id="live-title">${TEXT.live}</h2>${live.element}</section>
        <section class="charts" aria-label=${TEXT.gradientsTitle}>${charts.gradients.element}${charts.outputs.element}${charts.rate.element}</section>
        ${scores()}${epochs()}${settings()}${log()}`}
    </article>`;
  }

  function waiting() {
    return html`<section class="card"><p>${record.alive ? TEXT.opening : nothing}</p>
      <ul class="lines code">${(record.lines ?? []).map((line) => html`<li>${line}</li>`)}</ul></section>`;
  }

  function scores() {
    const found = record.scores;
    if (!found) return nothing;
    return html`<details class="part" open><summary>${TEXT.scores}<span class="muted small">${found.measured} ${percent(found.measure)}, ${TEXT.scoresOf(found)}</span></summary>
      ${table(TEXT.scores, [TEXT.class, TEXT.imagesColumn, TEXT.precision, TEXT.recall, TEXT.f1], found.classes.map((each) => [each.name, whole(each.images), percent(each.precision), percent(each.recall), percent(each.f1)]))}</details>`;
  }

  function epochs() {
    const rows = record.rows ?? [];
    const shown = thinned(rows, SHOWN_ROWS);
    const [trained, measured] = record.multi_label ? [TEXT.exactMatch, TEXT.mAP] : [TEXT.trainAccuracy, TEXT.valAccuracy];
    return html`<details class="part"><summary>${TEXT.epochs}<span class="muted small">${whole(rows.length)}</span></summary>
      ${table(TEXT.epochs, [TEXT.epochLabel, TEXT.trainLoss, trained, TEXT.valLoss, measured, TEXT.rateTitle, TEXT.time], shown.map((row) => [
        html`${row.epoch}${row.best ? html` <span class="muted small">${TEXT.bestMark}</span>` : nothing}`,
        number(row.train_loss, 4), percent(row.train_accuracy), number(row.val_loss, 4), percent(row.val_accuracy), number(row.learning_rate), duration(row.seconds)]))}</details>`;
  }

  function settings() {
    const found = record.recipe;
    if (!found) return nothing;
    const network = record.network ? `${record.network.name}, ${record.network.input.join(" × ")}, ${TEXT.classes(record.network.classes.length)}` : "";
    return html`<details class="part"><summary>${TEXT.settings}<span class="muted small">${network}</span></summary>
      ${table(TEXT.settings, [TEXT.setting, TEXT.value], found.given.map((key) => [words(key), shownValue(found.settings[key])]))}</details>`;
  }

  function log() {
    const damaged = record.notes ?? [];
    return html`${damaged.length ? html`<section class="card"><h2>${TEXT.notes}</h2><ul class="lines">${damaged.map((line) => html`<li>${line}</li>`)}</ul></section>` : nothing}
      <details class="part"><summary>${TEXT.log}<span class="muted small">${whole((record.log ?? []).length)}</span></summary>
      <div class="scroll" tabindex="0" role="group" aria-label=${TEXT.log}><ul class="lines code">${(record.log ?? []).map((line) => html`<li>${line}</li>`)}</ul></div></details>`;
  }

  const visible = () => (document.hidden ? (source?.close(), source = null) : record && listen());
  document.addEventListener("visibilitychange", visible);
  load();

  function close() {
    closed = true;
    clearTimeout(drawing);
    source?.close();
    document.removeEventListener("visibilitychange", visible);
    for (const chart of Object.values(charts)) chart.close();
  }

  return { name, view, close, reload: load, get now() { return record; } };
}

/** A table that scrolls by itself; the first cell of each row is its name. @param {unknown[][]} rows */
export const table = (label, heads, rows) => html`<div class="scroll" tabindex="0" role="group" aria-label=${label}><table class="plain">
  <thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
  <tbody>${rows.map(([name, ...cells]) => html`<tr><th scope="row">${name}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody></table></div>`;

/** A run's state, told by its word and its colour. */
export const chip = (state) => html`<span class="chip" data-state=${state}>${TRAIN.states[state] ?? state}</span>`;

export const shownValue = (value) => (value === null ? TRAIN.compare.unread : value === "" ? TRAIN.form.none : value === true ? TRAIN.form.yes : value === false ? TRAIN.form.no : String(value));
