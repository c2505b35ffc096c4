/** What the Train room shows, as data. Nothing here touches the page. */

/**
 * One epoch's measures, as a run has it.
 * @typedef {{epoch: number, seconds: number, train_loss: number, train_accuracy: number, val_loss: number|null, val_accuracy: number|null,
 *   learning_rate: number, images_per_second: number, data_wait: number, best: boolean, multi_label?: boolean}} Row
 */

/**
 * A setting as the server describes it.
 * @typedef {{name: string, group: string, type: "boolean"|"integer"|"number"|"choice"|"text", auto: boolean, default: any,
 *   limits: {at_least: number|null, below: number|null, at_most: number|null}, help: string, choices: string[], advanced: boolean}} Field
 */

/** Return rows with another one, which replaces that of its epoch. @param {Row[]} rows @param {Row} row */
export function withRow(rows, row) {
  const last = rows.at(-1);
  if (!last || last.epoch < row.epoch) return [...rows, row];
  return [...rows.filter((each) => each.epoch !== row.epoch), row].sort((a, b) => a.epoch - b.epoch);
}

/** Return a measure as a number, or null where it has none: texts stand for what is not finite. */
export const measure = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);

/**
 * Return columns of rows as a chart takes them: first the places, then a list each.
 * @param {Row[]} rows @param {string[]} names @returns {(number|null)[][]}
 */
export function columns(rows, x, names) {
  const known = rows.filter((row) => measure(row[x]) !== null);
  return [x, ...names].map((name) => known.map((row) => measure(row[name])));
}

/**
 * Return one measure of several runs over all their places; null where a run has no row at a place.
 * @param {{rows: Row[]}[]} runs @returns {(number|null)[][]}
 */
export function joined(runs, x, name) {
  const maps = runs.map(({ rows }) => {
    const [places, values] = columns(rows, x, [name]);
    return new Map(places.map((place, i) => [place, values[i]]));
  });
  const places = [...new Set(maps.flatMap((map) => [...map.keys()]))].sort((a, b) => a - b);
  return [places, ...maps.map((map) => places.map((place) => map.get(place) ?? null))];
}

/** Return at most `most` of the items, evenly spaced, the first and the last among them. @template T @param {T[]} items */
export function thinned(items, most) {
  if (items.length <= most) return items;
  return Array.from({ length: most }, (_, i) => items[Math.round((i * (items.length - 1)) / (most - 1))]);
}

/** Return seconds as text: 64 -> "1 min 04 s". @param {number|null|undefined} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const s = Math.max(0, seconds);
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 59.5) return `${Math.round(s)} s`;
  const minutes = Math.floor(Math.round(s) / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.round(s) % 60).padStart(2, "0")} s`;
  const whole = Math.round(s / 60);
  return `${Math.floor(whole / 60)} h ${String(whole % 60).padStart(2, "0")} min`;
}

/** Return a count of bytes as text: 2679160 -> "2.7 MB". @param {number|null|undefined} bytes */
export function byteSize(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  for (const [size, unit] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    if (bytes >= size) return `${(bytes / size).toFixed(1)} ${unit}`;
  }
  return `${bytes} bytes`;
}

/**
 * Return what is wrong with a value of a form: "" where nothing is, or one of the kinds, with the limit.
 * @param {Field} field @param {string} text as it stands in the form
 */
export function mistake(field, text) {
  const fine = { kind: "", limit: 0 };
  const word = text.trim();
  if (!word || (field.type !== "integer" && field.type !== "number")) return fine;
  if (field.auto && word === "auto") return fine;
  const isNumber = field.type === "integer" ? /^[-+]?\d+$/.test(word) : /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(word);
  if (!isNumber) return { kind: field.type === "integer" ? "notWhole" : "notNumber", limit: 0 };
  const value = Number(word);
  const { at_least: least, below, at_most: most } = field.limits;
  if (least !== null && value < least) return { kind: "atLeast", limit: least };
  if (below !== null && value >= below) return { kind: "below", limit: below };
  if (most !== null && value > most) return { kind: "atMost", limit: most };
  return fine;
}

/** Return the default of a setting as a form shows it. @param {Field} field */
export const defaultText = (field) => (field.default === "" ? "" : field.type === "boolean" && typeof field.default === "boolean" ? (field.default ? "yes" : "no") : String(field.default));

/**
 * Return the values of a form that differ from the defaults, as the server takes them.
 * @param {Field[]} fields @param {Object<string, string>} values as they stand in the form
 */
export function changedValues(fields, values) {
  /** @type {Object<string, string>} */
  const changed = {};
  for (const field of fields) {
    const text = (values[field.name] ?? "").trim();
    if (text && text !== defaultText(field)) changed[field.name] = text;
  }
  return changed;
}

export const words = (name) => name.replaceAll("_", " ");

/**
 * Pictures of one layer of a view.
 * @typedef {{kind: "image"|"filters"|"maps", layer: string, height: number, width: number, colours: number, total: number,
 *   tiles: {channel: number, low: number, high: number, pixels: Uint8Array}[]}} Picture
 */

/**
 * Return the pictures of a view; those whose bytes are cut off are left out.
 * @param {{header: any, bytes: Uint8Array}} packet @returns {Picture[]}
 */
export function pictures({ header, bytes }) {
  /** @type {Picture[]} */
  const found = [];
  let start = 0;
  for (const each of header.pictures ?? []) {
    const [count, height, width, colours] = each.shape;
    const size = height * width * colours;
    if (start + count * size > bytes.length) break;
    const tiles = Array.from({ length: count }, (_, i) => ({
      channel: each.channels[i],
      low: each.low[each.low.length > 1 ? i : 0],
      high: each.high[each.high.length > 1 ? i : 0],
      pixels: bytes.subarray(start + i * size, start + (i + 1) * size),
    }));
    found.push({ kind: each.kind, layer: each.layer, height, width, colours, total: each.total, tiles });
    start += Math.ceil((count * size) / 4) * 4;
  }
  return found;
}

/** Return the pixels of a tile as RGBA. @param {Picture} picture @param {Uint8Array} pixels */
export function rgba({ height, width, colours }, pixels) {
  const out = new Uint8ClampedArray(height * width * 4);
  for (let i = 0; i < height * width; i += 1) {
    for (let c = 0; c < 3; c += 1) out[4 * i + c] = pixels[i * colours + (colours === 3 ? c : 0)];
    out[4 * i + 3] = 255;
  }
  return out;
}

/**
 * The norms of a training over its epochs, by layer.
 * @typedef {{epochs: number[], layers: string[], gradients: (number|null)[][], outputs: (number|null)[][]}} Norms
 */

/**
 * Return norms with those of a view after them; a view of an earlier place begins anew from there.
 * @param {Norms} norms @param {{epoch: number, gradients: Object<string, number|null>, outputs: Object<string, number|null>}} view
 * @param {number} [most] samples that are kept
 */
export function withNorms(norms, view, most = 400) {
  const layers = norms.layers.length ? norms.layers : thinned(Object.keys(view.gradients), 24);
  const kept = norms.epochs.map((epoch, i) => ({ epoch, i })).filter(({ epoch }) => epoch < view.epoch);
  const shown = thinned(kept, most - 1);
  const list = (old, now) =>
    layers.map((name, n) => [...shown.map(({ i }) => old[n]?.[i] ?? null), now[name] ?? null]);
  return {
    epochs: [...shown.map(({ epoch }) => epoch), view.epoch],
    layers,
    gradients: list(norms.gradients, view.gradients),
    outputs: list(norms.outputs, view.outputs),
  };
}

/**
 * Return a few layers' norms as a chart of powers of ten takes them: what is not above 0 is left out.
 * @param {Norms} norms @param {"gradients"|"outputs"} kind @param {number} [most] layers
 */
export function normColumns(norms, kind, most = 6) {
  const shown = thinned(norms.layers.map((name, i) => ({ name, i })), most);
  const positive = (x) => (x !== null && x > 0 ? x : null);
  return { layers: shown.map(({ name }) => name), data: [norms.epochs, ...shown.map(({ i }) => (norms[kind][i] ?? []).map(positive))] };
}

/** Return how far the scores of a class lie apart among runs; null where fewer than two have one. @param {(number|null|undefined)[]} values */
export function spreadOf(values) {
  const known = values.filter((value) => typeof value === "number");
  return known.length < 2 ? null : Math.max(...known) - Math.min(...known);
}

/** Return the share of a training that is done, 0 to 1; null where that is not known. @param {any} run a row or a record of a run */
export function shareDone(run) {
  const steps = run.progress?.steps || run.steps;
  const step = run.progress?.steps ? run.progress.step : run.step;
  return steps ? Math.min(1, step / steps) : null;
}
