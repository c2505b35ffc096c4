/**
 * The questions that the page asks, each a function. The way to the server is `transport.js`.
 *
 * A newer question of a kind ends the older one; what the server refuses is an `ApiError` with one line and its kind.
 */
import { decode } from "convscope/packet";
import { listen, send } from "convscope/transport";

/** What the server, or the way to it, answered instead. */
class ApiError extends Error {
  constructor(message, kind) {
    super(message);
    this.kind = kind;
  }
}

/** @type {Map<string, AbortController>} */
const running = new Map();

/**
 * @param {any} [init] as `send` takes it @param {string} [only] a kind of which one question runs at a time
 */
async function ask(path, init = {}, only = "") {
  const controller = new AbortController();
  if (only) {
    running.get(only)?.abort();
    running.set(only, controller);
  }
  let response;
  try {
    response = await send(path, { ...init, signal: controller.signal });
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

const json = async (path, only, init) => (await ask(path, init, only)).json();

const packet = async (path, only, init) => decode(await (await ask(path, init, only)).arrayBuffer());

const posted = (body, part = "") => ({ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), part });

const encoded = encodeURIComponent;
const query = (values) =>
  new URLSearchParams(Object.entries(values).filter(([, v]) => v !== null && v !== undefined).map(([k, v]) => [k, String(v)])).toString();

/** Version, whether the compute process is ready, models, images, limits. */
export const session = () => json("/api/session", "session");

/** Listen to any stream of events; for the Train room. */
export const events = listen;

/** Blocks, shapes, costs, fields, warnings, drawing. @param {string} [part] of the page */
export async function graph(model, part = "") {
  const found = await json(`/api/graph/${encoded(model)}`, `graph${part}`, { part });
  await new Promise((done) => { setTimeout(done); }); // a large graph was parsed: drawing it is a task of its own
  return found;
}

/** Send an image file. */
export const uploadImage = (blob, title) =>
  json(`/api/image?${query({ title })}`, "image", { method: "POST", headers: { "content-type": blob.type.startsWith("image/") ? blob.type : "image/png" }, body: blob });

/** Addresses of pictures that were fetched, by what they are of. @type {Map<string, Promise<string>>} */
const pictures = new Map();

/**
 * Return the address of an image as a network is given it; the same picture is fetched once.
 * @param {string} [changes] as a link's `x` @param {string} [part] of the page
 */
export function picture(image, model, changes, part = "") {
  const path = `/api/image/${encoded(image)}?${query({ model: model || null, x: changes || null })}`;
  const known = pictures.get(path);
  if (known) return known;
  const found = ask(path, { part }, part ? "" : "picture").then(async (response) => URL.createObjectURL(await response.blob()));
  pictures.set(path, found);
  found.catch(() => pictures.delete(path));
  if (pictures.size > 200) {
    const [oldest, address] = (pictures.entries().next().value);
    pictures.delete(oldest);
    address.then(URL.revokeObjectURL, () => {});
  }
  return found;
}

/** Run a network on an image. @param {{model: string, image: string, interventions: any[]}} asked @param {string} [part] of the page */
export const run = (asked, part = "") => json("/api/run", `run${part}`, posted(asked, part));

/** A page of feature maps, uint8. @param {{order?: string, page?: number, size?: number}} how */
export const maps = (runId, value, how) => packet(`/api/run/${encoded(runId)}/maps/${encoded(value)}?${query(how)}`);

/** Exact numbers of one channel. */
export const values = (runId, value, channel) => packet(`/api/run/${encoded(runId)}/values/${encoded(value)}?${query({ channel })}`);

/** Tables of receptive fields. @param {{channel?: number|null, direction?: string}} how */
export const reach = (model, value, how = {}) => packet(`/api/reach/${encoded(model)}/${encoded(value)}?${query(how)}`);

/** The exact pixels of one cell. */
export const field = (runId, value, c, at) => packet(`/api/run/${encoded(runId)}/field/${encoded(value)}?${query({ c, at: at.join(",") })}`, "field");

/** One number, worked out. */
export const cell = (runId, value, c, at, page = 0) =>
  json(`/api/run/${encoded(runId)}/cell/${encoded(value)}?${query({ c, at: at.join(","), page })}`, `cell${page}`, { part: page ? `p${page}` : "" });

/** One kernel of a convolution. */
export const kernel = (runId, module, out, into) => json(`/api/run/${encoded(runId)}/kernel/${encoded(module)}?${query({ out, in: into })}`, "kernel");

/** Begin an attribution; its id comes back. */
export const attribute = (runId, asked) => json(`/api/run/${encoded(runId)}/attribution`, "attribution", posted(asked));

/** The parts of an attribution from number `after` on, as soon as there is one. */
export const attributionParts = (runId, id, after) => packet(`/api/run/${encoded(runId)}/attribution/${encoded(id)}?${query({ after })}`);

export const endAttribution = (runId, id) => ask(`/api/run/${encoded(runId)}/attribution/${encoded(id)}`, { method: "DELETE" });

/** Stop what is being computed for this tab. */
export const stop = () => json("/api/stop", "stop", posted({}));

/** Let what passed the deadline be asked again. */
export const again = () => json("/api/again", "again", posted({}));

/** Python and command that show the same. @param {string} state a link's fragment */
export const copyAs = (state) => json("/api/copy", "copy", posted({ state }));

/** One offline page of a state. @param {string} state a link's fragment */
export async function exportPage(state) {
  const response = await ask("/api/export", posted({ state }), "export");
  const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1] ?? "convscope-studio.html";
  return { blob: await response.blob(), name };
}

/** Ask anything else of the server; for the Train room. @param {any} [body] posted where given */
export const request = (path, body) => json(path, "", body === undefined ? undefined : posted(body));

export const requestPacket = (path) => packet(path);
