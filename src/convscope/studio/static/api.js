/**
 * The one file that asks the server. An offline page has another file of the same name with the same functions.
 *
 * A newer question of a kind ends the older one; what the server refuses is an `ApiError` with one line and its kind.
 */
import { decode } from "convscope/packet";

/** Names this tab: the newest question of a tab and a kind is answered first. */
const TAB = `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 10)}`;

/** What kind of page this is: a live one asks a server. */
export const LIVE = true;

/** What the server, or the way to it, answered instead. */
export class ApiError extends Error {
  /** @param {string} message @param {string} kind data | range | gone | busy | stopped | internal | away */
  constructor(message, kind) {
    super(message);
    this.kind = kind;
  }
}

/** @type {Map<string, AbortController>} */
const running = new Map();

/**
 * @param {string} path @param {RequestInit} [init] @param {string} [only] a kind of which one question runs at a time
 * @returns {Promise<Response>}
 */
async function ask(path, init = {}, only = "") {
  const controller = new AbortController();
  if (only) {
    running.get(only)?.abort();
    running.set(only, controller);
  }
  const headers = new Headers(init.headers);
  headers.set("x-convscope-tab", TAB);
  let response;
  try {
    response = await fetch(path, { ...init, headers, signal: controller.signal, credentials: "same-origin" });
  } catch (problem) {
    if (controller.signal.aborted) throw new ApiError("stopped: a newer question replaced it", "stopped");
    throw new ApiError("the server does not answer: start `convscope studio` again, then reload this page", "away");
  } finally {
    if (only && running.get(only) === controller) running.delete(only);
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  throw new ApiError(told.error ?? `the server answered with status ${response.status}`, told.kind ?? "internal");
}

/** @param {string} path @param {string} [only] @param {RequestInit} [init] */
const json = async (path, only, init) => (await ask(path, init, only)).json();

/** @param {string} path @param {string} [only] */
const packet = async (path, only) => decode(await (await ask(path, {}, only)).arrayBuffer());

/** @param {any} body @returns {RequestInit} */
const posted = (body) => ({ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

const part = encodeURIComponent;
const query = (/** @type {Object<string, any>} */ values) =>
  new URLSearchParams(Object.entries(values).filter(([, v]) => v !== null && v !== undefined).map(([k, v]) => [k, String(v)])).toString();

/** Version, whether the compute process is ready, models, images, limits. */
export const session = () => json("/api/session", "session");

/**
 * Call back with what happens in the compute process: its stages, crashes, restarts.
 * @param {(event: Object<string, any>) => void} told @returns {() => void} ends it
 */
export function sessionEvents(told) {
  const source = new EventSource("/api/session/events");
  const hear = (/** @type {MessageEvent} */ event) => {
    try {
      told(JSON.parse(event.data));
    } catch { /* a line that is no JSON says nothing */ }
  };
  source.onmessage = hear;
  for (const name of ["stage", "crash", "restart", "session"]) source.addEventListener(name, hear);
  source.onerror = () => told({ stage: "away" });
  return () => source.close();
}

/** Blocks, shapes, costs, fields, warnings, drawing. @param {string} model @param {string} [only] */
export const graph = (model, only = "graph") => json(`/api/graph/${part(model)}`, only);

/** Send an image file. @param {Blob} blob */
export const uploadImage = (blob) =>
  json("/api/image", "image", { method: "POST", headers: { "content-type": blob.type.startsWith("image/") ? blob.type : "image/png" }, body: blob });

/**
 * Return the address of an image as a network is given it.
 * @param {string} image @param {string} [model] @param {string} [changes] as a link's `x`
 */
export const imageUrl = (image, model, changes) =>
  `/api/image/${part(image)}?${query({ model: model || null, x: changes || null })}`;

/** Run a network on an image. @param {{model: string, image: string, interventions: any[]}} asked @param {string} [only] */
export const run = (asked, only = "run") => json("/api/run", only, posted(asked));

/** A page of feature maps, uint8. @param {string} runId @param {string} value @param {{order?: string, page?: number, size?: number}} how @param {string} [only] */
export const maps = (runId, value, how, only = "") => packet(`/api/run/${part(runId)}/maps/${part(value)}?${query(how)}`, only);

/** Exact numbers of one channel. @param {string} runId @param {string} value @param {number} channel @param {number[]} [box] */
export const values = (runId, value, channel, box) =>
  packet(`/api/run/${part(runId)}/values/${part(value)}?${query({ channel, box: box ? box.join(",") : null })}`);

/** Tables of receptive fields. @param {string} model @param {string} value @param {{channel?: number|null, direction?: string}} how */
export const reach = (model, value, how = {}) => packet(`/api/reach/${part(model)}/${part(value)}?${query(how)}`);

/** The exact pixels of one cell. @param {string} runId @param {string} value @param {number} c @param {number[]} at */
export const field = (runId, value, c, at) => packet(`/api/run/${part(runId)}/field/${part(value)}?${query({ c, at: at.join(",") })}`, "field");

/** One number, worked out. @param {string} runId @param {string} value @param {number} c @param {number[]} at @param {number} [page] */
export const cell = (runId, value, c, at, page = 0) =>
  json(`/api/run/${part(runId)}/cell/${part(value)}?${query({ c, at: at.join(","), page })}`, `cell${page}`);

/** Begin an attribution; its id comes back. @param {string} runId @param {Object<string, any>} asked */
export const attribute = (runId, asked) => json(`/api/run/${part(runId)}/attribution`, "attribution", posted(asked));

/** The parts of an attribution that are ready. @param {string} runId @param {string} id */
export const attributionParts = (runId, id) => packet(`/api/run/${part(runId)}/attribution/${part(id)}`);

/** End an attribution. @param {string} runId @param {string} id */
export const endAttribution = (runId, id) => ask(`/api/run/${part(runId)}/attribution/${part(id)}`, { method: "DELETE" });

/** Stop what is being computed for this tab. */
export const stop = () => json("/api/stop", "stop", posted({ tab: TAB }));

/** Python and command that show the same. @param {string} state a link's fragment */
export const copyAs = (state) => json("/api/copy", "copy", posted({ state }));

/** One offline page of a state. @param {string} state a link's fragment @returns {Promise<{blob: Blob, name: string}>} */
export async function exportPage(state) {
  const response = await ask("/api/export", posted({ state }), "export");
  const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1] ?? "convscope-studio.html";
  return { blob: await response.blob(), name };
}

/** Ask anything else of the server; for the Train room. @param {string} path @param {any} [body] posted where given */
export const request = (path, body) => json(path, "", body === undefined ? undefined : posted(body));

/** Ask for a packet; for the Train room. @param {string} path */
export const requestPacket = (path) => packet(path);
