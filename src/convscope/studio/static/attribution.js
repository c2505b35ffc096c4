/** An attribution over the image, with the checks beside it. */
import { html, nothing } from "lit-html";
import * as api from "convscope/api";
import { scaleOf } from "convscope/atlas";
import { options } from "convscope/options";
import { legend } from "convscope/focus";
import { madeAgain, sayFailed } from "convscope/loading";
import { floats } from "convscope/packet";
import { changed, go, link, loaded, pending, unsay, view } from "convscope/store";
import { TEXT } from "convscope/strings";

let asked = "";
/** Ends the attribution that is under way. */
let endCurrent = () => {};
/** What failed, by what was asked of which model: asked again where the reader says so, as each may end the process. @type {Map<string, any>} */
const broken = new Map();

/** Ask for the attribution that the link names. */
function loadAttribution() {
  const at = link();
  const run = pending.has("run") ? null : loaded.run?.run;
  const key = at.attribution && run ? `${run}\n${at.attribution}\n${at.target}` : "";
  if (key === asked) return;
  asked = key;
  unsay("attribution");
  endCurrent();
  endCurrent = () => {};
  loaded.attribution = null;
  pending.delete("attribution");
  if (key) follow(key, run, at);
}

async function follow(key, run, at) {
  const wish = JSON.stringify([at.model, at.image, at.interventions, at.attribution, at.target]);
  pending.set("attribution", TEXT.loading.attribution);
  loaded.attribution = { progress: "" };
  try {
    if (broken.has(wish)) throw broken.get(wish);
    const { id } = await api.attribute(run, { method: at.attribution, class: at.target, layer: null, checks: true });
    const end = () => { api.endAttribution(run, id).catch(() => {}); };
    if (asked !== key) {
      end();
      return;
    }
    endCurrent = end;
    for (let after = 0, done = false; !done;) {
      const packet = await api.attributionParts(run, id, after);
      if (asked !== key) return;
      const { parts, next, error } = packet.header;
      for (const part of parts) took(part, packet);
      ({ done } = packet.header);
      after = next;
      if (error) throw Object.assign(new Error(error.error), error);
      changed();
    }
  } catch (problem) {
    if (asked !== key || madeAgain(problem)) return;
    if (["deadline", "internal"].includes(problem.kind)) broken.set(wish, problem);
    sayFailed(problem, () => {
      broken.delete(wish);
      asked = "";
      changed();
    });
    if (view.said) view.said.of = "attribution";
  } finally {
    if (asked === key) {
      pending.delete("attribution");
      loaded.attribution = { ...loaded.attribution, done: true };
      endCurrent = () => {};
      changed();
    }
  }
}

function took(part, packet) {
  const found = loaded.attribution;
  if (part.parts) {
    for (const inner of part.parts) took({ ...inner, bytes: [part.bytes[0] + inner.bytes[0], inner.bytes[1]] }, packet);
    return;
  }
  if (part.part === "map") {
    const [height, width] = part.shape;
    const numbers = floats(packet, part.bytes[0], height * width);
    loaded.attribution = { ...found, map: { numbers, lo: Number(part.scale.lo), hi: Number(part.scale.hi), header: part } };
  } else if (part.part === "checks") loaded.attribution = { ...found, checks: part };
  else if (part.part === "progress") loaded.attribution = { ...found, progress: TEXT.progress(part.what, part.done, part.total) };
}

export function attributionPanel() {
  loadAttribution();
  const at = link();
  const found = loaded.attribution;
  const offline = loaded.session?.offline;
  if (offline && !at.attribution) return nothing;
  const classes = loaded.graph?.classes;
  const predicted = loaded.run?.prediction?.top?.[0];
  const map = found?.map;
  const end = map ? Math.max(Math.abs(map.lo), Math.abs(map.hi)) : 0;
  const name = (number) => classes?.[number] ?? TEXT.class(number);
  return html`<details class="sub" ?open=${Boolean(at.attribution) || view.attributionOpen} @toggle=${(e) => { view.attributionOpen = e.target.open; }}>
    <summary><h2>${TEXT.attribution}</h2>${at.attribution ? html`<span class="muted small">${TEXT.methods[at.attribution] ?? at.attribution}</span>` : nothing}</summary>
    <div class="inside">
      <div class="row">
        <label class="field"><span>${TEXT.method}</span><select @change=${(e) => go({ attribution: e.target.value })}>${options([["", TEXT.none], ...Object.entries(TEXT.methods)], at.attribution)}</select></label>
        <label class="field"><span>${TEXT.classLabel}</span>${classes && classes.length <= 1000 ? html`<select @change=${(e) => go({ target: e.target.value === "" ? null : Number(e.target.value) })}>${options([["", predicted ? TEXT.predicted(predicted.name ?? name(predicted.class)) : TEXT.thePredicted], ...classes.entries()], at.target ?? "")}</select>`
          : html`<input type="number" min="0" step="1" placeholder=${predicted ? String(predicted.class) : ""} .value=${at.target === null ? "" : String(at.target)} @change=${(e) => go({ target: e.target.value === "" ? null : Math.max(0, Math.round(Number(e.target.value))) })}>`}</label>
        ${at.attribution ? html`<label class="field"><input type="checkbox" .checked=${view.overlay} @change=${(e) => { view.overlay = e.target.checked; changed(); }}><span>${TEXT.overlay}</span></label>
          <label class="field"><span>${TEXT.opacity}</span><input type="range" min="0.1" max="1" step="0.05" .value=${String(view.opacity)} @input=${(e) => { view.opacity = Number(e.target.value); changed(); }}></label>` : nothing}
      </div>
      ${map ? html`<p>${map.header.headline ?? ""}</p>${end > 0 ? legend(map.lo < 0 ? scaleOf(-end, end, "diverging") : scaleOf(0, end, "magma"), map.lo < 0 ? TEXT.forAndAgainst : TEXT.importance) : nothing}
        ${(map.header.notes ?? []).map((note) => html`<p class="muted small">${note}</p>`)}` : nothing}
      ${found?.checks ? html`<div><h3>${TEXT.checks}: ${found.checks.verdict}</h3><ul class="checks">
        ${found.checks.lines.map((line) => html`<li><span class=${line.warning ? "fail" : "pass"} role="img" aria-label=${line.warning ? TEXT.warning : TEXT.passed}>${line.warning ? "!" : "✓"}</span><span>${line.text}</span></li>`)}</ul></div>`
        : at.attribution && found && !found.done ? html`<p class="muted small row"><span class="spinner"></span>${found.progress || (map ? TEXT.checking : TEXT.loading.attribution)}</p>` : nothing}
    </div></details>`;
}
