/** The shell: the bar at the top, one room below it, one line at the bottom. */
import { html, nothing, render } from "lit-html";
import * as api from "convscope/api";
import { dialogs } from "convscope/dialogs";
import { made } from "convscope/elements";
import { mountExplore } from "convscope/explore";
import * as icons from "convscope/icons";
import { keepFocus } from "convscope/kept_focus";
import { shortcuts } from "convscope/keys";
import { forgetMasks } from "convscope/light";
import { forgetAll, load, ready } from "convscope/loading";
import { shareMenu } from "convscope/share";
import { formatState } from "convscope/state";
import { changed, followLink, go, keptTheme, link, loaded, nextTheme, pending, roomState, say, sayProblem, show, subscribe, theme, view } from "convscope/store";
import { TEXT } from "convscope/strings";
import { imageInto } from "convscope/stage";

/** Whether a server answers: an offline page says what it is of in its session. */
const live = () => !loaded.session?.offline;

const app = document.getElementById("app");
const pickerImage = made("img");
pickerImage.alt = "";
const rooms = { explore: made("div"), train: made("div"), learn: made("div") };
rooms.explore.style.height = "100%";
rooms.train.className = "train-room";
rooms.learn.className = "learn-room";
/** @type {{update: () => void}|null} */
let explore = null;
const LATER = {
  train: () => import("convscope/train").then(({ mountTrain }) => mountTrain(rooms.train, context)),
  learn: () => import("convscope/learn/room").then(({ mountLearn }) => mountLearn(rooms.learn)),
};
const opened = {};
let lastRun = "";

const context = {
  api, link, subscribe,
  train: (patch) => go({ run: "", new: false, compare: [], ...patch }),
  /** Show a saved epoch of a run in Explore. @param {string} model a model key, as run:NAME@step-N */
  explore: (model) => go({ room: "explore", model, value: "", channel: null, at: null, page: 0, interventions: [] }),
};

function bar() {
  const at = link();
  const model = loaded.session?.models?.find((m) => m.key === at.model);
  const title = loaded.graph?.title ?? model?.title ?? at.model;
  const weights = loaded.graph?.weights ?? model?.weights;
  const image = loaded.session?.images?.find((i) => i.key === at.image);
  const room = (name) => html`<a href=${formatState(roomState(name))} aria-current=${at.room === name ? "page" : nothing}
    @click=${(e) => { e.preventDefault(); go({ room: name }); }}>${TEXT.rooms[name]}</a>`;
  return html`<header class="bar">
    <a class="brand" href="#/explore" @click=${(e) => e.preventDefault()} aria-label="convscope studio">${icons.brand}<span>convscope</span></a>
    <nav aria-label=${TEXT.roomsLabel}>${room("explore")}${live() ? html`${room("train")}${room("learn")}` : nothing}</nav>
    ${at.room !== "explore" ? html`<span class="spread"></span>` : html`
      <span class="rule"></span>
      <button class="picker" @click=${() => show({ dialog: "model" })} aria-haspopup="dialog" aria-label=${TEXT.modelIs(title)} ?disabled=${!live()}>${icons.model}<span>${title || TEXT.model}</span>${weights === "random" ? html`<span class="kind">${TEXT.randomWeights}</span>` : nothing}</button>
      <button class="picker" @click=${() => show({ dialog: "image" })} aria-haspopup="dialog" aria-label=${TEXT.imageIs(image?.title ?? at.image)} ?disabled=${!live()}>
        ${at.image && ready() ? html`${imageInto(pickerImage, at.model, at.image, [])}` : nothing}<span>${image?.title ?? view.imageTitles?.get(at.image) ?? TEXT.image}</span></button>
      ${live() ? html`<button class="optional" aria-pressed=${String(Boolean(at.other))} @click=${() => (at.other ? go({ other: "" }) : show({ dialog: "other" }))} title=${TEXT.compareHelp}>${icons.compare}${TEXT.compare}</button>` : nothing}
      <span class="spread"></span>
      <button class="finder" @click=${() => show({ dialog: "search" })} aria-haspopup="dialog" aria-label=${TEXT.searchLabel}>${icons.search}<span>${TEXT.search}</span><kbd>/</kbd></button>
      ${shareMenu()}`}
    <button class="icon quiet optional" @click=${() => show({ dialog: "keys" })} aria-label=${TEXT.keysLabel} title=${TEXT.keysLabel}>${icons.keys}</button>
    <button class="icon quiet" @click=${nextTheme} aria-label=${TEXT.themeLabel(theme())} title=${TEXT.themeLabel(theme())}>${icons.theme}</button>
  </header>`;
}

function status() {
  const { said } = view;
  const stage = loaded.session && !ready() && loaded.session.stage !== "failed" ? TEXT.stages[loaded.session.stage] : "";
  const work = [...(stage ? [stage] : []), ...pending.values()];
  const copy = loaded.session?.offline;
  const note = loaded.graph?.weights_note && link().room === "explore" ? loaded.graph.weights_note : "";
  return html`<footer class="status">
    <div class=${`said ${said?.kind ?? ""}`} role="status" aria-live="polite">
      ${said ? html`<span>${said.text}</span>${said.action ? html`<button @click=${said.action.act}>${said.action.label}</button>` : nothing}<button class="quiet" @click=${() => say("")} aria-label=${TEXT.dismiss}>${icons.close}</button>` : html`<span class="muted">${note}</span>`}
    </div>
    <span class="spread"></span>
    ${copy ? html`<details class="offline"><summary>${TEXT.offline(copy.made ?? "")}</summary>
      ${copy.carried?.length ? html`<p>${TEXT.offlineCarries}:</p><ul>${copy.carried.map((text) => html`<li>${text}</li>`)}</ul>` : nothing}
      ${copy.missing?.length ? html`<p>${TEXT.offlineMissing}:</p><ul>${copy.missing.map((text) => html`<li>${text}</li>`)}</ul>` : nothing}</details>` : nothing}
    ${work.length ? html`<span class="busy"><span class="spinner"></span>${work[0]}${live() && pending.size ? html`<button @click=${stopWork}>${TEXT.stop}</button>` : nothing}</span>` : nothing}
  </footer>`;
}

/** Stop what is computed for this tab: each question says that it was stopped. */
const stopWork = () => api.stop().catch(sayProblem);

/** What is shown until the compute process answers. */
function starting() {
  const stage = loaded.session?.stage ?? "starting";
  const order = ["starting", "importing torch", "ready"];
  const at = order.indexOf(stage);
  const steps = order.map((name, i) => html`<li data-done=${String(at > i)}><span class="mark">${at > i ? "✓" : at === i && stage !== "failed" ? html`<span class="spinner"></span>` : "·"}</span>${TEXT.stages[name]}</li>`);
  return html`<div class="starting">${icons.brand}<ol aria-label=${TEXT.startingLabel}>${steps}</ol>
    ${stage === "failed" ? html`<p>${loaded.session?.text || TEXT.failed}</p>` : nothing}</div>`;
}

function openRoom(name) {
  opened[name] ??= LATER[name]().then((room) => { opened[name] = room; }, () => render(html`<p class="empty">${TEXT.noRoom}</p>`, rooms[name]));
}

function draw() {
  load();
  const { room } = link();
  view.keys = opened[room]?.keys?.();
  if (room in LATER) openRoom(room);
  else if ((ready() || loaded.graph) && !explore) explore = mountExplore(rooms.explore);
  document.title = [room === "explore" ? loaded.graph?.title : opened[room]?.title?.() || TEXT.rooms[room], "convscope studio"].filter(Boolean).join(" · ");
  render(html`${bar()}<main><h1 class="hidden-text" tabindex="-1">${document.title}</h1>${room in LATER ? rooms[room] : explore ? rooms.explore : starting()}</main>${status()}${dialogs()}`, app);
  if (loaded.run?.run !== lastRun) {
    lastRun = loaded.run?.run;
    forgetMasks();
  }
  if (room === "explore") explore?.update();
}

async function askSession() {
  const before = loaded.session;
  try {
    const found = await api.session();
    loaded.session = found;
    if (view.said?.away) say("");
    // What offers to ask again stays.
    if (found.text && found.text !== before?.text && !view.said?.action) say(found.text, found.ready ? "note" : "error");
    if (before && !before.ready && found.ready) forgetAll();
  } catch (problem) {
    const { message, kind } = problem;
    if (kind !== "stopped") {
      say(message, "error");
      view.said.away = true;
    }
  }
  changed();
}

/**
 * Ask for the session until it is ready, and again while work is waited for or has failed: the compute process may have
 * ended. No stream is held open: a browser has few connections to one server, and all tabs share them.
 */
async function watchSession() {
  const idle = ready() && !pending.size && view.said?.kind !== "error";
  if (!document.hidden && !idle && !loaded.session?.offline) await askSession();
  setTimeout(watchSession, ready() ? 2000 : 400);
}

keptTheme();
keepFocus();
addEventListener("resize", changed);
subscribe(draw);
shortcuts();
// The modules were read in this task: the first drawing is one of its own.
setTimeout(() => {
  followLink();
  draw();
  watchSession();
});
