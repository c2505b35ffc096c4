/** Choosing a model or an image. */
import { html, nothing } from "lit-html";
import * as api from "convscope/api";
import { made } from "convscope/elements";
import * as icons from "convscope/icons";
import { imageInto } from "convscope/stage";
import { runNameOf } from "convscope/state";
import { changed, go, link, loaded, say, sayProblem, show, view } from "convscope/store";
import { TEXT } from "convscope/strings";

/** @param {"model"|"other"} takes which of the two networks */
export function modelBody(takes) {
  const words = view.query.toLowerCase().split(/\s+/).filter(Boolean);
  const models = (loaded.session?.models ?? []).filter((m) => words.every((word) => `${m.key} ${m.title}`.toLowerCase().includes(word)));
  const current = link()[takes];
  return html`${takes === "other" ? epochs() : nothing}<div class="choices">${Object.keys(TEXT.modelKinds).map((kind) => {
    const some = models.filter((m) => m.kind === kind);
    return some.length ? html`<h3>${TEXT.modelKinds[kind]}</h3>${some.map((m) => html`
      <button class="option" aria-current=${String(m.key === current)} @click=${() => takeModel(takes, m.key)}><span>${m.title}</span><span class="note">${m.title === m.key ? "" : m.key} ${m.weights === "random" ? TEXT.randomWeights : ""}</span></button>`)}` : nothing;
  })}</div>${models.length ? nothing : html`<p class="empty">${TEXT.noModel(view.query)}</p>`}`;
}

/** Saved epochs of runs, by name. @type {Map<string, any[]>} */
const saved = new Map();
/** The model whose run's epochs were asked for last: a run that trains saves more. */
let savedOf = "";

/** Return the name of the run that is shown; "" of another model. */
const runName = () => runNameOf(link().model);

/** Return the saved epochs of the run that is shown, the earliest first; none of another model. */
function savedEpochs() {
  const name = runName();
  const { model } = link();
  const fresh = model !== savedOf;
  savedOf = model;
  if (!name || loaded.session?.offline) return [];
  if (fresh) {
    api.request(`/api/runs/${encodeURIComponent(name)}`).then(
      (run) => {
        saved.set(name, (run.saved ?? []).sort((a, b) => (a.epoch ?? Infinity) - (b.epoch ?? Infinity)));
        changed();
      },
      () => {}, // the run's own weights are shown
    );
  }
  return saved.get(name) ?? [];
}

/** The epoch that is shown, to be moved along all that were saved. */
export function epochSlider() {
  const epochs = savedEpochs();
  if (epochs.length < 2) return nothing;
  const { model } = link();
  const at = epochs.findIndex((each) => each.key === model);
  const now = at < 0 ? epochs.findIndex((each) => each.kind === "best") : at;
  return html`<label class="field epochs"><span>${TEXT.epoch}</span><input type="range" min="0" max=${epochs.length - 1} step="1" .value=${String(Math.max(0, now))} aria-valuetext=${TEXT.savedEpoch(epochs[Math.max(0, now)])}
    @change=${(e) => go({ model: epochs[Number(e.target.value)].key })}><span class="number">${TEXT.savedEpoch(epochs[Math.max(0, now)])}</span></label>`;
}

/** Saved epochs of the run that is shown, to compare with. */
function epochs() {
  const kept = savedEpochs();
  return kept.length ? html`<div class="choices"><h3>${TEXT.epochsOfRun}</h3>${kept.map((each) => html`
    <button class="option" aria-current=${String(each.key === link().other)} @click=${() => takeModel("other", each.key)}><span>${TEXT.savedEpoch(each)}</span></button>`)}</div>` : nothing;
}

/** @param {"model"|"other"} takes */
function takeModel(takes, key) {
  show({ dialog: "", query: "" });
  if (takes === "other") go({ other: key });
  else if (key !== link().model) {
    const changes = link().interventions.filter((change) => !["channel_off", "kernel"].includes(change.op));
    go({ model: key, value: "", channel: null, at: null, page: 0, step: null, target: null, interventions: changes });
  }
}

/** @type {Map<string, HTMLImageElement>} */
const icon = new Map();

function sampleImage(image, index) {
  let element = icon.get(image.key);
  if (!element) {
    element = made("img");
    element.alt = "";
    element.loading = "lazy";
    icon.set(image.key, element);
  }
  return imageInto(element, link().model, image.key, [], `i${index % 1000}`);
}

export function imageBody() {
  const { image } = link();
  const images = [...(view.uploads ?? []), ...(loaded.session?.images ?? [])];
  return html`
    <div class="row">
      <label class="button primary-file">${icons.up}${TEXT.chooseFile}<input class="hidden-text" type="file" accept="image/*" @change=${chosen}></label>
      <button @click=${() => show({ dialog: "camera" })}>${icons.camera}${TEXT.camera}</button>
      <button @click=${() => show({ dialog: "digit" })}>${icons.pencil}${TEXT.drawDigit}</button>
    </div>
    <p class="drop">${TEXT.dropHere}</p>
    <div class="gallery" role="group" aria-label=${TEXT.samplesLabel}>
      ${images.map((entry, index) => html`<button aria-current=${String(entry.key === image)} @click=${() => takeImage(entry.key)}>${sampleImage(entry, index)}<span>${entry.title}</span></button>`)}
    </div>
    ${runImages()}`;
}

function chosen({ target }) {
  const [file] = target.files;
  target.value = ""; // the same file may be chosen again
  if (file) upload(file, file.name);
}

function runImages() {
  const name = runName();
  if (!name) return nothing;
  const at = /^run:.*\/(\d+)$/.exec(link().image)?.[1] ?? "0";
  return html`<form class="row sub" @submit=${(e) => { e.preventDefault(); takeImage(`run:${name}/${e.target.elements.number.value || 0}`); }}>
    <label class="field"><span>${TEXT.runImage}</span><input name="number" type="number" min="0" step="1" value=${at}></label><button>${TEXT.open}</button></form>`;
}

function takeImage(key) {
  show({ dialog: "" });
  const changes = link().interventions.filter((change) => ["channel_off", "kernel"].includes(change.op));
  go({ image: key, interventions: changes });
}

/** Send an image and show it. */
export async function upload(blob, title) {
  const limit = loaded.session?.limits?.upload_bytes;
  if (limit && blob.size > limit) {
    say(TEXT.tooLarge(blob.size, limit), "error");
    return;
  }
  say(TEXT.uploading(title));
  try {
    const bytes = await blob.arrayBuffer().catch(() => Promise.reject(new Error(TEXT.unreadable(title))));
    const found = await api.uploadImage(new Blob([bytes], { type: blob.type }), title);
    const entry = { key: found.key, title: found.title || title };
    view.uploads = [entry, ...(view.uploads ?? []).filter((other) => other.key !== entry.key)];
    view.imageTitles ??= new Map();
    view.imageTitles.set(entry.key, entry.title);
    say((found.notes ?? []).join("; "));
    takeImage(found.key);
  } catch (problem) {
    sayProblem(problem);
  }
}

const takesFiles = () => link().room === "explore" && !loaded.session?.offline;

addEventListener("paste", (event) => {
  const file = takesFiles() && [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
  if (!file) return;
  event.preventDefault();
  upload(file, TEXT.pasted);
});
/** Answer what is dragged over the page: text goes into a field, for a file a browser would leave the page. */
function dragged(event) {
  const { dataTransfer, target, type } = event;
  if (target.closest?.(dataTransfer.types.includes("Files") ? "input[type=file]" : "input")) return;
  event.preventDefault();
  const taken = takesFiles() && dataTransfer.types.includes("Files");
  dataTransfer.dropEffect = taken ? "copy" : "none";
  document.querySelector(".drop")?.classList.toggle("over", taken && type === "dragover");
  const [file] = dataTransfer.files;
  if (taken && type === "drop" && file) upload(file, file.name);
}
for (const type of ["dragover", "dragleave", "drop"]) addEventListener(type, dragged);
