/**
 * How each number of a training step is computed, as operands that can be followed: which numbers, not their sums. A place
 * is the name of an array and the indices in it; every value is in the record.
 * @typedef {{name: string, at: number[]}} Place
 * @typedef {{text: string, values?: any, pairs?: [Place, Place][], single?: Place[], bias?: Place}} Worked
 */

const PARAMETERS = ["filters", "filter_biases", "weights", "biases"];
const range = (count) => Array.from({ length: count }, (_, index) => index);
const place = (name, ...at) => ({ name, at });
const OPEN = 9; // cells of a pooled map

/** Return the place of a pooled value by its number among the fully connected layer's inputs. @param {number} n */
const pooledPlace = (n, name = "pooled") => place(name, Math.floor(n / OPEN), Math.floor((n % OPEN) / 3), n % 3);
const inputOf = ([f, r, c]) => f * OPEN + r * 3 + c;

/**
 * Return the value at a place.
 * @param {any} record @param {number} step @param {Place} of
 */
export function valueAt(record, step, { name, at }) {
  const found = name === "image" ? record.image : arrayOf(record, step, name);
  return at.reduce((value, index) => value[index], found);
}

/** Return an array of a step; those called new_NAME are the parameters after it. @param {any} record @param {number} step @param {string} name */
export function arrayOf(record, step, name) {
  if (name === "image") return record.image;
  if (!name.startsWith("new_")) return record.steps[step][name];
  return (record.steps[step + 1] ?? record.after)[name.slice(4)];
}

/** Return the number of a parameter among all 210, or -1. @param {any} record @param {string} name @param {number[]} at */
export function parameterIndex(record, name, at) {
  const [first] = record.steps;
  let before = 0;
  for (const each of PARAMETERS) {
    const shape = shapeOf(first[each]);
    if (each === name) return before + at.reduce((sum, index, axis) => sum * shape[axis] + index, 0);
    before += shape.reduce((product, size) => product * size, 1);
  }
  return -1;
}

export const shapeOf = (array) => (Array.isArray(array) ? [array.length, ...shapeOf(array[0])] : []);

/** @type {Object<string, (record: any, step: number, at: number[]) => Worked>} */
const RULES = {
  image: () => ({ text: "given" }),
  map: (record, step, [f, r, c]) => ({
    text: "sum", pairs: range(9).map((t) => [place("image", r + Math.floor(t / 3), c + (t % 3)), place("filters", f, Math.floor(t / 3), t % 3)]), bias: place("filter_biases", f),
  }),
  relu: (record, step, at) => ({ text: "max-zero", single: [place("map", ...at)] }),
  pooled: (record, step, at) => ({ text: "max-of", single: windowOf(at).map((each) => place("relu", ...each)) }),
  scores: (record, step, [k]) => ({ text: "sum", pairs: range(18).map((n) => [pooledPlace(n), place("weights", k, n)]), bias: place("biases", k) }),
  probabilities: () => ({ text: "softmax", single: range(10).map((k) => place("scores", k)) }),
  loss: (record) => ({ text: "cross-entropy", single: [place("probabilities", record.label)] }),
  d_scores: (record, step, [k]) => ({ text: k === record.label ? "minus-one" : "as-probability", single: [place("probabilities", k)] }),
  d_weights: (record, step, [k, n]) => ({ text: "sum-only", pairs: [[place("d_scores", k), pooledPlace(n)]] }),
  d_biases: (record, step, [k]) => ({ text: "same", single: [place("d_scores", k)] }),
  d_pooled: (record, step, at) => ({ text: "sum-only", pairs: range(10).map((k) => [place("d_scores", k), place("weights", k, inputOf(at))]) }),
  d_relu: (record, step, [f, r, c]) => {
    const window = windowOf([f, Math.floor(r / 2), Math.floor(c / 2)]);
    const values = window.map((each) => valueAt(record, step, place("relu", ...each)));
    const largest = window[values.indexOf(Math.max(...values))];
    const wins = largest[1] === r && largest[2] === c;
    return { text: wins ? "passes" : "not-largest", single: wins ? [place("d_pooled", f, Math.floor(r / 2), Math.floor(c / 2))] : [] };
  },
  d_map: (record, step, at) => {
    const open = valueAt(record, step, place("map", ...at)) > 0;
    return { text: open ? "open" : "blocked", single: open ? [place("d_relu", ...at)] : [place("map", ...at)] };
  },
  d_filters: (record, step, [f, i, j]) => products(range(36)
    .map((t) => [Math.floor(t / 6), t % 6])
    .filter(([r, c]) => valueAt(record, step, place("d_map", f, r, c)) !== 0)
    .map(([r, c]) => [place("d_map", f, r, c), place("image", r + i, c + j)])),
  d_filter_biases: (record, step, [f]) => {
    const single = range(36).map((t) => place("d_map", f, Math.floor(t / 6), t % 6)).filter((each) => valueAt(record, step, each) !== 0);
    return { text: "sum-of", values: { count: single.length }, single };
  },
};

const products = (pairs) => ({ text: pairs.length ? "sum-only" : "nothing", pairs });
const windowOf = ([f, r, c]) => [[0, 0], [0, 1], [1, 0], [1, 1]].map(([i, j]) => [f, 2 * r + i, 2 * c + j]);

/**
 * Return how the number at a place is computed.
 * @param {any} record @param {number} step @param {Place} of @returns {Worked}
 */
export function worked(record, step, { name, at }) {
  if (name.startsWith("new_")) {
    const old = name.slice(4);
    return { text: "update", values: { rate: record.rate }, single: [place(old, ...at), place(`d_${old}`, ...at)] };
  }
  if (PARAMETERS.includes(name)) return { text: "parameter", values: { count: step } };
  const found = RULES[name](record, step, at);
  return { ...found, values: { count: found.pairs?.length, ...found.values } };
}
