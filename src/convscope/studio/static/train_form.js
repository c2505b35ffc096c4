/** The form of a new training: fields made from the recipe's schema, a forecast, a start. */
import { html, nothing } from "lit-html";
import { options as listed } from "convscope/options";
import { byteSize, changedValues, defaultText, duration, mistake, words } from "convscope/train_data";
import { TRAIN } from "convscope/train_strings";
import { percent, short, whole } from "convscope/units";

/** Settings that stand at the top of the form. */
const USUAL = ["preset", "model", "weights", "minutes", "epochs", "batch_size", "learning_rate", "image_size", "train_images"];
const TEXT = TRAIN.form;

/**
 * The form: `view` returns what is drawn.
 * @param {{context: any, changed: () => void, started: (name: string) => void}} owner
 */
export function createForm({ context, changed, started }) {
  let options = null;
  let chosen = "";
  let name = "";
  /** @type {Object<string, string>} */
  let values = {};
  let forecast = null;
  let problem = "";
  let work = "";
  let asked = 0;

  async function load() {
    try {
      options = await context.api.request("/api/train/options");
      problem = "";
      const { sets, weights } = options;
      const goneWeights = values.weights && !weights.includes(values.weights);
      if (goneWeights) values = { ...values, weights: "" };
      if (!sets.some(({ id }) => id === chosen)) chosen = sets[0]?.id ?? "";
      else if (!goneWeights) return changed();
      renew(); // the forecast was of what is gone
    } catch (error) {
      problem = error.message;
    }
    changed();
  }

  const fields = () => (options?.fields ?? []);
  const mistakes = () => fields().filter((field) => mistake(field, values[field.name] ?? "").kind);

  function set(key, text) {
    values = { ...values, [key]: text };
    renew();
  }

  /** Drop what was said of other settings, a forecast that is being made too. */
  function renew() {
    forecast = null;
    problem = "";
    if (work === "forecast") cancel();
    changed();
  }

  async function ask(what) {
    const wrong = mistakes();
    if (wrong.length) {
      problem = TEXT.wrong(wrong.length);
      changed();
      document.getElementById(`setting-${wrong[0].name}`)?.focus();
      return;
    }
    asked += 1;
    const mine = asked;
    work = what;
    problem = "";
    changed();
    const body = { set: chosen, recipe: changedValues(fields(), values) };
    try {
      if (what === "forecast") {
        const found = await context.api.request("/api/train/forecast", body);
        if (mine !== asked) return;
        forecast = found.stopped ? null : found;
      } else {
        const made = await context.api.request("/api/train", { ...body, name: name.trim() });
        name = "";
        forecast = null;
        started(made.name);
      }
    } catch (error) {
      if (mine !== asked) return;
      const { message, kind } = error;
      if (kind !== "stopped") problem = message;
    }
    work = "";
    changed();
  }

  /** Take a forecast back: the newest question of a tab replaces it on the server. */
  function cancel() {
    asked += 1;
    work = "";
    context.api.request("/api/train/forecast/stop", {}).catch(() => {});
    changed();
  }

  function control(field) {
    const id = `setting-${field.name}`;
    const text = values[field.name] ?? "";
    const usual = defaultText(field);
    const wrong = mistake(field, text);
    const described = `${id}-help`;
    const input = (event) => set(field.name, event.target.value);
    /** @type {[string, string][]|null} */
    let choices = field.choices.length ? field.choices.map((word) => [word, word]) : null;
    if (field.name === "weights") choices = [["", TEXT.none], ...options.weights.map((run) => [run, run])];
    if (field.type === "boolean") choices = [...(field.auto ? [["auto", "auto"]] : []), ["yes", TEXT.yes], ["no", TEXT.no]];
    const shown = text || usual;
    return html`<div class="setting" data-changed=${String(Boolean(text) && text !== usual)}>
      <label for=${id}>${words(field.name)}</label>
      ${choices
        ? html`<select id=${id} aria-describedby=${described} @change=${input}>${listed(choices, shown)}</select>`
        : html`<input id=${id} type="text" inputmode=${field.type === "integer" ? "numeric" : field.type === "number" ? "decimal" : "text"} autocomplete="off" spellcheck="false"
            .value=${text} placeholder=${usual || TEXT.none} aria-describedby=${described} aria-invalid=${String(Boolean(wrong.kind))} @input=${input}>`}
      <p class="help" id=${described}>${field.help}${limits(field)}${wrong.kind ? html`<strong class="wrong">${fault(wrong, field)}</strong>` : nothing}</p>
    </div>`;
  }

  function view() {
    if (!options) return html`<p class="empty">${problem || TRAIN.loading}</p>`;
    const all = fields();
    const usual = USUAL.flatMap((key) => all.filter((field) => field.name === key));
    const others = all.filter((field) => !USUAL.includes(field.name));
    const groups = [...new Set(others.map((field) => field.group))];
    const count = Object.keys(changedValues(all, values)).length;
    const set_ = options.sets.find((each) => each.id === chosen);
    return html`<form class="train-form" aria-labelledby="form-title" @submit=${(event) => { event.preventDefault(); ask("start"); }}>
      <h1 id="form-title">${TEXT.title}</h1>
      <div class="settings">
        <div class="setting"><label for="train-set">${TEXT.set}</label>
          <select id="train-set" aria-describedby="train-set-help" @change=${(event) => { chosen = event.target.value; renew(); }}>${listed(options.sets.map((each) => [each.id, TEXT.setText(each)]), chosen)}</select>
          <p class="help" id="train-set-help">${TEXT.setHelp}</p></div>
        <div class="setting"><label for="train-name">${TEXT.name}</label>
          <input id="train-name" type="text" autocomplete="off" spellcheck="false" maxlength="120" .value=${name} aria-describedby="train-name-help"
            @input=${(event) => { name = event.target.value; }}>
          <p class="help" id="train-name-help">${TEXT.nameHelp}</p></div>
        ${usual.map(control)}
      </div>
      ${groups.map((group) => part(TEXT.groups[group] ?? group, others.filter((field) => field.group === group)))}
      <div class="actions">
        <button type="button" @click=${() => ask("forecast")} ?disabled=${Boolean(work) || !set_}>${TEXT.forecast}</button>
        <button type="submit" class="primary" ?disabled=${work === "start" || !set_}>${work === "start" ? TEXT.starting : TEXT.start}</button>
        ${work === "forecast" ? html`<span class="busy"><span class="spinner"></span>${TEXT.forecasting}<button type="button" @click=${cancel}>${TEXT.cancel}</button></span>` : nothing}
        <span class="spread"></span><span class="muted small">${TEXT.changed(count)}</span>
        ${count ? html`<button type="button" class="quiet" @click=${() => { values = {}; renew(); }}>${TEXT.reset}</button>` : nothing}
      </div>
      <div role="alert">${problem ? html`<p class="problem">${problem}</p>` : nothing}</div>
      <div aria-live="polite">${forecast ? shown(forecast) : nothing}</div>
    </form>`;
  }

  function part(title, inner) {
    const plain = inner.filter((field) => !field.advanced);
    const advanced = inner.filter((field) => field.advanced);
    const given = Object.keys(changedValues(inner, values)).length;
    return html`<details class="part"><summary>${title}<span class="muted small">${given ? TEXT.changed(given) : whole(inner.length)}</span></summary>
      <div class="settings">${plain.map(control)}</div>
      ${advanced.length ? html`<details><summary>${TEXT.advanced}</summary><div class="settings">${advanced.map(control)}</div></details>` : nothing}</details>`;
  }

  load();
  return { view, reload: load };
}

function limits({ limits: { at_least: least, below, at_most: most } }) {
  const parts = [least === null ? "" : TEXT.atLeast(least), below === null ? "" : TEXT.below(below), most === null ? "" : TEXT.atMost(most)].filter(Boolean);
  return parts.length ? html`<span class="limits">${parts.join(", ")}</span>` : nothing;
}

function fault({ kind, limit }, { auto }) {
  const said = kind === "notWhole" ? TEXT.notWhole : kind === "notNumber" ? TEXT.notNumber : TEXT[kind](limit);
  return `${said}${auto ? TEXT.orAuto : ""}`;
}

function shown(found) {
  const F = TRAIN.forecast;
  const { forecast } = found;
  const parts = Object.entries(F.parts).map(([key, label]) => ({ label, seconds: forecast[key] })).filter(({ seconds }) => seconds > 0);
  const counts = Object.entries(found.images).map(([split, count]) => F.of(count, split)).join(", ");
  const facts = [
    [F.network, found.model], [F.parameters, short(found.parameters)], [F.epochs, whole(found.epochs)], [F.steps, whole(found.steps)], [F.batch, whole(found.batch_size)],
    [F.images, counts], [F.classes, whole(found.classes.length)], [F.memory, forecast.step_bytes === null ? F.unknown : byteSize(forecast.step_bytes)], [F.disk, byteSize(forecast.run_bytes + forecast.cache_bytes)],
  ];
  const notes = found.notices.filter((notice) => notice.text);
  return html`<section class="card forecast" aria-labelledby="forecast-title">
    <h2 id="forecast-title">${F.title}</h2>
    <p class="big">${F.about(duration(forecast.seconds))}${forecast.earliest === null ? nothing : html`<span class="muted small"> ${F.earliest(duration(forecast.earliest), forecast.earliest_where.join(" and "))}</span>`}</p>
    <div class="parts" aria-hidden="true">${parts.map(({ label, seconds }, i) => html`<span class=${`share c${i}`} title=${`${label}: ${duration(seconds)}`} .style=${`flex-grow:${seconds / forecast.seconds}`}></span>`)}</div>
    <table class="plain"><caption class="hidden-text">${F.tableTitle}</caption><thead class="hidden-text"><tr><th scope="col">${F.part}</th><th scope="col">${F.time}</th><th scope="col">${F.share}</th></tr></thead>
      <tbody>${parts.map(({ label, seconds }, i) => html`<tr><th scope="row"><span class=${`swatch c${i}`}></span>${label}</th><td>${duration(seconds)}</td><td>${percent(seconds / forecast.seconds)}</td></tr>`)}</tbody></table>
    <dl class="facts">${facts.map(([label, text]) => html`<div><dt>${label}</dt><dd>${text}</dd></div>`)}</dl>
    ${found.faster.length ? html`<p>${F.faster}: ${found.faster.map((each) => `${each.setting} ${F.about(duration(each.seconds))}`).join(", ")}</p>` : nothing}
    ${found.reasons.length ? html`<details><summary>${F.reasons}</summary><ul class="lines">${found.reasons.map((line) => html`<li>${line}</li>`)}</ul></details>` : nothing}
    ${notes.length ? html`<details ?open=${notes.some((notice) => notice.level === "warning")}><summary>${F.notes}</summary><ul class="lines">${notes.map((notice) => html`<li data-level=${notice.level}>${notice.text}</li>`)}</ul></details>` : nothing}
  </section>`;
}

