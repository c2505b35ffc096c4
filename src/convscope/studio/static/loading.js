/** Asks for what the state needs and is not there, each thing once. */
import * as api from "convscope/api";
import { atlasOf } from "convscope/atlas";
import { floats } from "convscope/packet";
import { clamped } from "convscope/state";
import { go, link, loaded, pending, say, unsay, view, changed } from "convscope/store";
import { TEXT } from "convscope/strings";
import { forgetReach } from "convscope/reach";

/** Which need each loaded thing answers. @type {Map<string, string>} */
const keys = new Map();
/** Needs that failed: asked again where the reader says so, as each may end the process. @type {Map<string, string>} */
const broken = new Map();
/** The latest question of each name: an older one's answer is dropped. @type {Map<string, object>} */
const questions = new Map();
/** Atlases that are kept, the least recently used first. @type {Map<string, any>} */
const atlases = new Map();
const ATLASES_KEPT = 24;
const PAGE = 64;
/** The run that things are of, by name. */
const OF_RUN = { atlas: "run", numbers: "run", cell: "run", otherAtlas: "otherRun" };
/** Runs that were gone, and were asked for once more. @type {Set<string>} */
const lost = new Set();

/**
 * Load a thing unless it is there or on its way.
 * @param {string|null} key what it is of; null where it is not needed
 */
function need(name, key, ask, then = () => {}) {
  if (keys.get(name) === (key ?? "")) return;
  keys.set(name, key ?? "");
  unsay(name);
  if (key === null) {
    questions.delete(name);
    pending.delete(name);
    if (loaded[name] !== null) {
      loaded[name] = null;
      then(null);
    }
    return;
  }
  const mine = {};
  questions.set(name, mine);
  pending.set(name, TEXT.loading[name] ?? name);
  ask().then(
    (answer) => {
      if (questions.get(name) !== mine) return;
      pending.delete(name);
      loaded[name] = answer;
      then(answer);
      changed();
    },
    (problem) => {
      if (questions.get(name) !== mine) return;
      pending.delete(name);
      failed(name, problem);
    },
  );
}

function failed(name, problem) {
  loaded[name] = null;
  if (["deadline", "internal", "stopped"].includes(problem.kind)) broken.set(name, keys.get(name) ?? "");
  if (name === "cell") view.noCell = problem.message;
  if (name === "graph") tookGraph(null);
  if (OF_RUN[name] && madeAgain(problem, OF_RUN[name])) return;
  // An offline page has the numbers of some maps; of the others it shows what their colours say.
  if (loaded.session?.offline && problem.kind === "gone") {
    if (name !== "numbers") say(problem.message, "note");
    changed();
    return;
  }
  if (name === "run" && problem.kind === "gone" && link().image.startsWith("upload:")) {
    say(problem.message, "error", { label: TEXT.samples, act: () => { say(""); view.dialog = "image"; changed(); } });
  } else if (name === "graph" && problem.kind === "gone") {
    say(problem.message, "error", { label: TEXT.models, act: () => { say(""); view.dialog = "model"; changed(); } });
  } else sayFailed(problem, () => [name, ...broken.keys()].forEach(forget));
  if (view.said) view.said.of = name;
  changed();
}

/** Say that something failed or was stopped, and let the reader ask once more. */
export function sayFailed({ message, kind }, ask) {
  const retry = { label: TEXT.retry, act: () => { say(""); api.again().catch(() => {}).then(ask); } };
  if (loaded.session?.offline) say(message);
  else if (kind === "stopped") say(TEXT.stopped, "note", retry);
  else say(message, "error", retry);
}

/** Make a run once more that is gone, as after a restart of the compute process; whether it is made. */
export function madeAgain({ kind }, name = "run") {
  const run = loaded[name]?.run;
  if (kind !== "gone" || !run || lost.has(run) || loaded.session.offline) return false;
  lost.add(run);
  forget(name);
  return true;
}

function forget(name) {
  broken.delete(name);
  keys.delete(name);
  for (const [thing, run] of Object.entries(OF_RUN)) if (run === name) keys.delete(thing);
  changed();
}

/** Load all again, as after a restart of the compute process. */
export function forgetAll() {
  for (const [name, key] of [...keys]) if (broken.get(name) !== key && !pending.has(name)) keys.delete(name);
  atlases.clear();
  forgetReach();
  changed();
}

/** Return the atlas of a page of a value, from those kept or from the server. */
export async function atlas(runId, value, order, page, size = PAGE) {
  const key = [runId, value, order, page, size].join("\n");
  const kept = atlases.get(key);
  if (kept) {
    atlases.delete(key);
    atlases.set(key, kept);
    return kept;
  }
  const found = atlasOf(await api.maps(runId, value, { order, page, size }));
  atlases.set(key, found);
  // One map of a layer is small: only whole pages count.
  if (size === PAGE) {
    const pages = [...atlases.keys()].filter((name) => name.endsWith(`\n${PAGE}`));
    if (pages.length > ATLASES_KEPT) atlases.delete(pages[0]);
  } else if (atlases.size > 1500) atlases.delete((atlases.keys().next().value));
  return found;
}

/** Return whether the compute process can answer. */
export const ready = () => loaded.session?.ready === true;

/** Ask for what the state needs; called after every change. */
export function load() {
  const at = link();
  if (at.room !== "explore" || !loaded.session) return;
  const { model, image } = settled();
  if (at.model !== model || at.image !== image) {
    go({ model, image }, { replace: true });
    return;
  }
  if (!ready()) return;
  if (keys.get("graph") !== model) {
    loaded.run = null; // of another network
    for (const name of ["atlas", "numbers", "cell"]) need(name, null, async () => null);
  }
  need("graph", model, () => api.graph(model), tookGraph);
  const changes = JSON.stringify(at.interventions);
  need("run", `${model}\n${image}\n${changes}`, () => api.run({ model, image, interventions: at.interventions }), () => {});
  if (loaded.graph?.key === model && !pending.has("graph") && !withinGraph(at)) return;
  const unit = at.value ? loaded.byValue.get(at.value) : null;
  const runId = loaded.run?.run ?? null;
  loadOther(at, changes);
  // What is shown stays until the run that replaces it is there.
  if (pending.has("run") || pending.has("graph")) return;
  const of = unit && runId ? `${runId}\n${at.value}` : null;
  need("atlas", of && `${of}\n${at.order}\n${at.page}`, () => atlas(runId, at.value, at.order, at.page));
  if (!pending.has("atlas")) tookAtlas(loaded.atlas);
  const channel = at.channel;
  need("numbers", of && channel !== null ? `${of}\n${channel}` : null, async () => {
    const packet = await api.values(runId, at.value, channel);
    return { channel, value: at.value, numbers: floats(packet), header: packet.header };
  });
  need("cell", of && channel !== null && at.at ? `${of}\n${channel}\n${at.at}` : null, () =>
    api.cell(runId, at.value, channel, at.at));
}

function loadOther(at, changes) {
  const other = at.other || null;
  need("otherGraph", other, () => api.graph(other, "b"), (graph) => {
    loaded.otherByValue = new Map((graph?.units ?? []).filter((u) => u.value).map((u) => [u.value, u]));
  });
  const image = at.interventions.some((c) => c.op === "kernel") ? JSON.stringify(at.interventions.filter((c) => !["kernel", "channel_off"].includes(c.op))) : changes;
  need("otherRun", other && `${other}\n${at.image}\n${image}`, () =>
    api.run({ model: other, image: at.image, interventions: JSON.parse(image) }, "b"));
  const value = loaded.otherGraph ? otherValue() : null;
  const runId = loaded.otherRun?.run;
  // The same channels in the same order are compared: those of the first network, by number.
  need("otherAtlas", runId && value && !pending.has("otherRun") ? `${runId}\n${value}\n${at.order}\n${at.page}` : null, () =>
    atlas(runId, value, at.order, at.page));
}

/** Return the value of the second network beside the first one's: of the same name, else as far along. */
export function otherValue() {
  const { value } = link();
  if (loaded.otherByValue.has(value)) return value;
  const [mine, theirs] = [[...loaded.byValue.keys()], [...loaded.otherByValue.keys()]];
  if (!theirs.length) return null;
  const share = Math.max(0, mine.indexOf(value)) / Math.max(1, mine.length - 1);
  return theirs[Math.round(share * (theirs.length - 1))];
}

/** Return the model and the image of the state, or those to begin with. */
function settled() {
  const { session } = loaded;
  const at = link();
  const models = session.models ?? [];
  const first = ["given", "run", "built-in"].map((kind) => models.find((m) => m.kind === kind)).find(Boolean) ?? models[0];
  const images = session.images ?? [];
  return { model: at.model || session.given || first?.key || "", image: at.image || images[0]?.key || "" };
}

function tookGraph(graph) {
  forgetReach();
  const units = graph?.units ?? [];
  loaded.byId = new Map(units.map((unit) => [unit.id, unit]));
  // A block has the value of its last layer: the layer is what is selected.
  loaded.byValue = new Map();
  for (const unit of units) {
    if (!unit.value || (unit.kind === "block" && loaded.byValue.has(unit.value))) continue;
    if (unit.kind !== "block") loaded.byValue.delete(unit.value); // it stands where the layer is
    loaded.byValue.set(unit.value, unit);
  }
  if (!graph) return;
  view.folded = new Set(units.filter((u) => u.kind === "block" && u.depth >= (units.length > 60 ? 1 : 2)).map((u) => u.id));
}

/** Bring the state within the graph, and say what was moved; whether it was within. @param {import("./state.js").State} at */
function withinGraph(at) {
  const { graph } = loaded;
  if (!loaded.byValue.has(at.value)) {
    if (at.value) say(TEXT.noValue(at.value, graph.title));
    go({ value: firstValue(), channel: null, at: null, page: 0, step: null }, { replace: true });
    return !loaded.byValue.has(firstValue());
  }
  const { state, notes } = clamped(at, loaded.byValue.get(at.value).shape, graph.class_count);
  if (!notes.length) return true;
  say(notes.join("; "));
  go(state, { replace: true });
  return false;
}

/** Return the value to begin with: the first map of several channels. */
function firstValue() {
  const units = [...loaded.byValue.values()];
  const maps = units.filter((unit) => unit.shape?.length === 3 && unit.kind !== "block");
  return (maps.find((unit) => /conv/i.test(unit.type ?? "")) ?? maps[0] ?? units[0])?.value ?? "";
}

function tookAtlas(found) {
  const at = link();
  if (!found) return;
  if (at.page >= found.pages && found.pages > 0) {
    say(TEXT.noPage(at.page, found.pages));
    go({ page: found.pages - 1 }, { replace: true });
  } else if (at.channel === null && found.channels.length) go({ channel: found.channels[0] }, { replace: true });
}
