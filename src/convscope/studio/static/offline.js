/**
 * The transport of an offline page: it answers from the page itself what `transport.js` asks the server.
 * An export puts it in that module's place; it has the same two exports. See docs/studio.md for what a page carries.
 */
import { decode } from "convscope/packet";

/** @typedef {{type: string, block: number, start: number, length: number}} Place */

const about = JSON.parse(document.getElementById("offline-page")?.textContent || "{}");
const starts = (about.blocks || []).reduce((found, length) => [...found, found.at(-1) + length], [0]);

/** Names a tab to a server; there is none. */
export const TAB = "offline";

/** @type {Uint8Array | null} */
let packed = null;
/** @type {Map<number, Promise<Uint8Array>>} */
const opened = new Map();
/** @type {Promise<any> | null} */
let index = null;

// The page opens at its own state unless the link names another.
if (about.state && !location.hash) history.replaceState(null, "", about.state);

/** Return the bytes of a block, decompressed when it is first needed. */
function block(/** @type {number} */ number) {
  if (!opened.has(number)) opened.set(number, inflate(number));
  return opened.get(number);
}

async function inflate(/** @type {number} */ number) {
  if (packed === null) {
    const text = atob(document.getElementById("offline-answers").textContent);
    packed = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  }
  const stream = new Blob([packed.subarray(starts[number], starts[number + 1])]).stream();
  return new Uint8Array(await new Response(stream.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
}

/** Return the index: which questions are answered, and by which bytes. */
function contents() {
  index ??= block(about.blocks.length - 1).then((bytes) => JSON.parse(new TextDecoder().decode(bytes)));
  return index;
}

/**
 * Answer a request from what the page carries.
 * @param {string} path
 * @param {{method?: string, headers?: Object<string, string>, body?: any, signal?: AbortSignal | null}} [options]
 * @returns {Promise<Response>}
 */
export async function send(path, { method = "GET", body = null, signal = null } = {}) {
  const known = await contents();
  if (signal?.aborted) throw signal.reason;
  const url = new URL(path, "http://offline.invalid");
  const parts = url.pathname.split("/").slice(2).map(decodeURIComponent);
  const asked = typeof body === "string" && body ? JSON.parse(body) : {};
  const question = questionOf(method, parts, url.searchParams, asked, known);
  if (question === null) return refusal(`an offline page can't do this: open the state with convscope studio`);
  if (!Array.isArray(question)) return json(question);
  const place = placeOf(question, known);
  if (place === undefined) return refusal(`this offline page does not carry ${wordsFor(question)}`);
  const [type, number, start, length] = place;
  const bytes = (await block(number)).subarray(start, start + length);
  const shown = question[0] === "values" ? boxed(bytes, url.searchParams.get("box")) : bytes;
  return new Response(shown, { status: 200, headers: { "content-type": type } });
}

/**
 * Nothing happens in an offline page, so no event ever comes.
 * @param {string} path
 */
export function listen(path, handlers) {
  return { close() {} };
}

/**
 * Return the question of a request as the index names it, an answer that is at hand, or null where there can be none.
 * @returns {(string | number | null)[] | Object<string, any> | null}
 */
function questionOf(method, parts, query, asked, known) {
  const [noun, first, part, value] = parts;
  const number = (/** @type {string} */ name, otherwise = /** @type {number|null} */ (0)) => (query.has(name) ? Number(query.get(name)) : otherwise);
  const cell = () => [number("c"), ...(query.get("at") || "0,0").split(",").map(Number)];
  if (noun === "session") return { ...known.session, version: about.version, offline: about };
  if (noun === "graph") return ["graph", first];
  if (noun === "image" && method === "GET") return ["image_png", first, query.get("model") || known.pictures[0]?.model];
  if (noun === "reach") return ["reach", first, part, query.get("direction") || "backward", number("channel", null)];
  if (noun === "learn") return ofLearn(first, part, query, known);
  if (noun !== "run") return null;
  if (part === undefined) {
    const run = known.runs.findIndex((one) => same(one, { interventions: [], ...asked }));
    return run < 0 ? null : ["run", asked.model, asked.image, run];
  }
  switch (part) {
    case "maps":
      return ["maps", first, value, query.get("order") || "index", number("page")];
    case "values":
      return ["values", first, value, number("channel")];
    case "field":
      return ["field", first, value, ...cell()];
    case "cell":
      return ["cell", first, value, ...cell(), number("page")];
    case "attribution":
      if (method === "POST") return { id: JSON.stringify([asked.method, asked.class ?? null, asked.layer ?? null]) };
      return ["attribution", first, ...JSON.parse(value)];
    default:
      return null;
  }
}

/** Return a question of Learn; of a record the settings that are not asked for have their defaults. */
function ofLearn(noun, name, query, known) {
  if (noun === "exercise") return [noun, name, Number(query.get("seed"))];
  if (noun !== "record") return [noun];
  return [noun, name, ...Object.entries(known.settings[name] ?? {}).map(([key, otherwise]) => query.get(key) ?? otherwise)];
}

/** Return where an answer is. Channels with the same fields have one table, under one of them or under none. */
function placeOf(question, known) {
  const place = (/** @type {any[]} */ one) => known.answers[JSON.stringify(one)];
  if (question[0] !== "reach" || question[4] === null) return place(question);
  const [operation, model, value, direction, channel] = question;
  const part = known.parts.find(([m, v, first, last]) => m === model && v === value && first <= channel && channel <= last);
  return place([operation, model, value, direction, part ? part[4] : channel]);
}

function wordsFor(question) {
  const [operation, name, value] = question;
  switch (operation) {
    case "maps":
      return question[4] > 0 ? `more feature maps of ${value}` : `the feature maps of ${value} in this order`;
    case "field":
      return `the exact field of this cell of ${value}: its box is shown`;
    case "cell":
      return `this number of ${value} worked out`;
    case "values":
      return `the exact numbers of this map of ${value}: its colours have 256 levels`;
    case "reach":
      return `the fields of ${value}`;
    case "exercise":
    case "record":
      return `the ${operation} ${name}`;
    default:
      return "this";
  }
}

/** Return a box (rows, columns) of a packet that holds a whole map of numbers. */
function boxed(bytes, text) {
  const whole = bytes.slice();
  if (!text) return whole;
  const packet = decode(whole.buffer);
  const [, , height, width] = [1, 1, ...packet.header.shape].slice(-4);
  const [top, left, bottom, right] = text.split(",").map(Number);
  if (top <= 0 && left <= 0 && bottom >= height && right >= width) return whole;
  const rows = [];
  for (let row = Math.max(top, 0); row < Math.min(bottom, height); row += 1) {
    rows.push(packet.bytes.slice(4 * (row * width + left), 4 * (row * width + Math.min(right, width))));
  }
  const kept = new Uint8Array(rows.reduce((sum, row) => sum + row.length, 0));
  rows.forEach((row, number) => kept.set(row, number * row.length));
  const shape = [...packet.header.shape.slice(0, -2), rows.length, (rows[0]?.length ?? 0) / 4];
  return encode({ ...packet.header, shape, box: [top, left, bottom, right] }, kept);
}

/** Return a packet of a header and bytes, as the server writes it. @param {Uint8Array} bytes */
function encode(header, bytes) {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const start = Math.ceil((4 + text.length) / 4) * 4;
  const all = new Uint8Array(start + bytes.length);
  new DataView(all.buffer).setUint32(0, text.length, true);
  all.set(text, 4);
  all.set(bytes, start);
  return all;
}

/** Return whether two JSON values are equal, whatever the order of their keys. */
function same(one, other) {
  if (one === null || other === null || typeof one !== "object" || typeof other !== "object") return one === other;
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => same(one[name], other[name]));
}

function json(value) {
  return new Response(JSON.stringify(value), { headers: { "content-type": "application/json" } });
}

function refusal(error) {
  return new Response(JSON.stringify({ error, kind: "gone" }), {
    status: 404,
    headers: { "content-type": "application/json" },
  });
}
