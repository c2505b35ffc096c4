/** Why the network says so: an attribution over the image, with the checks that stand beside it. */
import { html, nothing } from "lit-html";
import * as api from "convscope/api";
import { scaleOf } from "convscope/atlas";
import { legend } from "convscope/focus";
import { floats } from "convscope/packet";
import { changed, go, link, loaded, pending, say, view } from "convscope/store";
import { TEXT } from "convscope/strings";

export const METHODS = ["grad-cam", "hires-cam", "gradient", "integrated-gradients", "occlusion", "guided-backprop", "gradient-times-input"];

let asked = "";
/** @type {{run: string, id: string}|null} */
let current = null;

/** Ask for the attribution that the link names. */
export function loadAttribution() {
  const at = link();
  const run = pending.has("run") ? null : loaded.run?.run;
  const key = at.attribution && run ? `${run}\n${at.attribution}\n${at.target}\n${view.checks ?? true}` : "";
  if (key === asked) return;
  asked = key;
  if (current) api.endAttribution(current.run, current.id).catch(() => {});
  current = null;
  loaded.attribution = null;
  pending.delete("attribution");
  if (key) follow(key, run, at);
}

async function follow(key, run, at) {
  pending.set("attribution", TEXT.loading.attribution);
  loaded.attribution = { lines: [], progress: "" };
  try {
    const layer = ["grad-cam", "hires-cam"].includes(at.attribution) && view.camLayer ? view.camLayer : null;
    const { id } = await api.attribute(run, { method: at.attribution, class: at.target, layer, checks: view.checks ?? true });
    current = { run, id };
    let after = 0;
    for (let done = false; !done && asked === key;) {
      const packet = await api.attributionParts(run, id, after);
      if (asked !== key) return;
      for (const part of packet.header.parts ?? []) took(part, packet);
      after = packet.header.next ?? after + (packet.header.parts ?? []).length;
      done = packet.header.done !== false;
      if (packet.header.error) throw Object.assign(new Error(packet.header.error.error), packet.header.error);
      changed();
    }
  } catch (problem) {
    const { message, kind } = problem;
    if (asked === key && kind !== "stopped") say(message, "error");
  } finally {
    if (asked === key) {
      pending.delete("attribution");
      if (loaded.attribution) loaded.attribution = { ...loaded.attribution, done: true };
      current = null;
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
    loaded.attribution = { ...found, map: { numbers, lo: Number(part.scale?.lo ?? part.lo), hi: Number(part.scale?.hi ?? part.hi), header: part } };
  } else if (part.part === "checks") loaded.attribution = { ...found, checks: part };
  else if (part.part === "progress") loaded.attribution = { ...found, progress: part.text ?? "" };
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
        <label class="field"><span>${TEXT.method}</span><select @change=${(e) => go({ attribution: e.target.value })}>
          <option value="" ?selected=${!at.attribution}>${TEXT.none}</option>
          ${METHODS.map((method) => html`<option value=${method} ?selected=${method === at.attribution}>${TEXT.methods[method]}</option>`)}</select></label>
        <label class="field"><span>${TEXT.classLabel}</span>${classes && classes.length <= 1000 ? html`<select @change=${(e) => go({ target: e.target.value === "" ? null : Number(e.target.value) })}>
            <option value="" ?selected=${at.target === null}>${predicted ? TEXT.predicted(predicted.name ?? name(predicted.class)) : TEXT.thePredicted}</option>
            ${classes.map((label, number) => html`<option value=${number} ?selected=${at.target === number}>${label}</option>`)}</select>`
          : html`<input type="number" min="0" step="1" placeholder=${predicted ? String(predicted.class) : ""} .value=${at.target === null ? "" : String(at.target)} @change=${(e) => go({ target: e.target.value === "" ? null : Math.max(0, Math.round(Number(e.target.value))) })}>`}</label>
        ${at.attribution ? html`<label class="field"><input type="checkbox" .checked=${view.overlay} @change=${(e) => { view.overlay = e.target.checked; changed(); }}><span>${TEXT.overlay}</span></label>
          <label class="field"><span>${TEXT.opacity}</span><input type="range" min="0.1" max="1" step="0.05" .value=${String(view.opacity)} @input=${(e) => { view.opacity = Number(e.target.value); changed(); }}></label>` : nothing}
      </div>
      ${map ? html`<p>${map.header.headline ?? ""}</p>${end > 0 ? legend(map.lo < 0 ? scaleOf(-end, end, "diverging") : scaleOf(0, end, "magma"), map.lo < 0 ? TEXT.forAndAgainst : TEXT.importance) : nothing}
        ${(map.header.notes ?? []).map((note) => html`<p class="muted small">${note}</p>`)}` : nothing}
      ${found?.checks ? html`<div><h3>${TEXT.checks}: ${found.checks.verdict}</h3><ul class="checks">
        ${found.checks.lines.map((line) => html`<li><span class=${line.warning ? "fail" : "pass"} aria-label=${line.warning ? TEXT.warning : TEXT.passed}>${line.warning ? "!" : "✓"}</span><span>${line.text ?? line}</span></li>`)}</ul></div>`
        : at.attribution && found && !found.done ? html`<p class="muted small row"><span class="spinner"></span>${found.progress || (map ? TEXT.checking : TEXT.loading.attribution)}</p>` : nothing}
    </div></details>`;
}
