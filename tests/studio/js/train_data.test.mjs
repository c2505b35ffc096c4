/** Laws of the Train room's data: rows, forms, pictures, norms. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as data from "../../../src/convscope/studio/static/train_data.js";

const row = (epoch, more = {}) => ({ epoch, seconds: epoch, train_loss: 1 / (epoch + 1), train_accuracy: 0.5, val_loss: null, val_accuracy: 0.25, learning_rate: 0.1, images_per_second: 9, data_wait: 0, best: false, ...more });
const field = (more) => ({ name: "epochs", group: "training", type: "integer", auto: true, default: "auto", limits: { at_least: 0, below: null, at_most: null }, help: "", choices: [], advanced: false, ...more });

test("an epoch that comes again replaces its row, and rows stay in order", () => {
  let rows = [];
  for (const epoch of [1, 2, 3, 2, 5, 4, 5]) rows = data.withRow(rows, row(epoch));
  assert.deepEqual(rows.map(({ epoch }) => epoch), [1, 2, 3, 4, 5]);
  assert.equal(data.withRow(rows, row(3, { train_loss: 9 }))[2].train_loss, 9);
});

test("what is not finite is a gap of a curve", () => {
  const rows = [row(1), row(2, { val_accuracy: "nan" }), row(3, { val_accuracy: null })];
  assert.deepEqual(data.columns(rows, "epoch", ["val_accuracy"]), [[1, 2, 3], [0.25, null, null]]);
  assert.deepEqual(data.columns([], "epoch", ["val_loss"]), [[], []]);
});

test("curves of several runs share their places", () => {
  const found = data.joined([{ rows: [row(1), row(3)] }, { rows: [row(2), row(3, { val_accuracy: 1 })] }, { rows: [] }], "epoch", "val_accuracy");
  assert.deepEqual(found, [[1, 2, 3], [0.25, null, 0.25], [null, 0.25, 1], [null, null, null]]);
});

test("thinned rows keep both ends, and no row comes twice", () => {
  for (const count of [0, 1, 2, 9, 1000]) {
    for (const most of [2, 3, 200]) {
      const items = Array.from({ length: count }, (_, i) => i);
      const found = data.thinned(items, most);
      assert.equal(found.length, Math.min(count, most));
      assert.equal(new Set(found).size, found.length);
      if (count) assert.deepEqual([found[0], found.at(-1)], [0, count - 1]);
    }
  }
});

test("durations and sizes are words", () => {
  assert.deepEqual([0.04, 9.94, 10, 59.4, 59.5, 64, 3599.6, 3600, 7320, null, NaN].map(data.duration), ["0.0 s", "9.9 s", "10 s", "59 s", "1 min 00 s", "1 min 04 s", "1 h 00 min", "1 h 00 min", "2 h 02 min", "–", "–"]);
  assert.deepEqual([0, 999, 1000, 2.68e6, 7e9, null].map(data.byteSize), ["0 bytes", "999 bytes", "1.0 kB", "2.7 MB", "7.0 GB", "–"]);
});

test("a value is held to its kind and limits", () => {
  const kind = (of, text) => data.mistake(field(of), text).kind;
  for (const text of ["", " ", "auto", "3", " 12 "]) assert.equal(kind({}, text), "");
  assert.equal(kind({ auto: false }, "auto"), "notWhole");
  for (const text of ["3.5", "x", "1e3", "--1", "1 2"]) assert.equal(kind({}, text), "notWhole");
  assert.equal(kind({}, "-1"), "atLeast");
  const number = { type: "number", limits: { at_least: 0, below: 1, at_most: null } };
  for (const text of ["0", "0.5", ".5", "1e-3", "5e-4"]) assert.equal(kind(number, text), "");
  assert.equal(kind(number, "1"), "below");
  assert.equal(kind({ type: "number", limits: { at_least: null, below: null, at_most: 10 } }, "11"), "atMost");
  for (const text of ["nan", "inf", "0x10", "1,5"]) assert.equal(kind(number, text), "notNumber");
  assert.equal(kind({ type: "text" }, "anything"), "");
});

test("only what differs from the default is sent", () => {
  const fields = [field({}), field({ name: "strict", type: "boolean", auto: false, default: false }), field({ name: "data", type: "text", default: "" })];
  assert.deepEqual(data.changedValues(fields, { epochs: " auto ", strict: "no", data: "" }), {});
  assert.deepEqual(data.changedValues(fields, { epochs: " 3 ", strict: "yes", data: "x", other: "y" }), { epochs: "3", strict: "yes", data: "x" });
});

test("pictures lie one after another, each at a multiple of 4; what is cut off is left out", () => {
  const header = { pictures: [
    { kind: "image", layer: "", shape: [1, 1, 3, 1], channels: [0], total: 1, low: [0], high: [1] },
    { kind: "filters", layer: "<b>", shape: [2, 1, 1, 3], channels: [4, 7], total: 9, low: [-1], high: [1] },
  ] };
  const bytes = Uint8Array.from([1, 2, 3, 0, 10, 11, 12, 20, 21, 22, 0, 0]);
  const [image, filters] = data.pictures({ header, bytes });
  assert.deepEqual([...image.tiles[0].pixels], [1, 2, 3]);
  assert.deepEqual(filters.tiles.map(({ channel, pixels }) => [channel, [...pixels]]), [[4, [10, 11, 12]], [7, [20, 21, 22]]]);
  assert.deepEqual([...data.rgba(image, image.tiles[0].pixels)], [1, 1, 1, 255, 2, 2, 2, 255, 3, 3, 3, 255]);
  assert.deepEqual([...data.rgba(filters, filters.tiles[1].pixels)], [20, 21, 22, 255]);
  assert.equal(data.pictures({ header, bytes: bytes.subarray(0, 9) }).length, 1);
  assert.deepEqual(data.pictures({ header: {}, bytes }), []);
});

test("norms go on with the views, and begin anew where a training went back", () => {
  let norms = { epochs: [0, 1], layers: ["a", "b"], gradients: [[1, 2], [3, 4]], outputs: [[5, 6], [7, 8]] };
  norms = data.withNorms(norms, { epoch: 1.5, gradients: { a: 9 }, outputs: { a: 0, b: 1 } });
  assert.deepEqual(norms, { epochs: [0, 1, 1.5], layers: ["a", "b"], gradients: [[1, 2, 9], [3, 4, null]], outputs: [[5, 6, 0], [7, 8, 1]] });
  assert.deepEqual(data.withNorms(norms, { epoch: 1, gradients: {}, outputs: {} }).epochs, [0, 1]);
  for (let i = 0; i < 900; i += 1) norms = data.withNorms(norms, { epoch: 2 + i, gradients: {}, outputs: {} }, 50);
  assert.equal(norms.epochs.length, 50);
  assert.equal(norms.epochs[0], 0);
  assert.equal(norms.gradients[0].length, 50);
  const shown = data.normColumns({ epochs: [1, 2], layers: ["a"], gradients: [[0, 3]], outputs: [] }, "gradients");
  assert.deepEqual(shown, { layers: ["a"], data: [[1, 2], [null, 3]] });
  assert.deepEqual(data.normColumns({ epochs: [1], layers: ["a"], gradients: [], outputs: [] }, "outputs").data, [[1], []]);
});

test("shares and spreads", () => {
  assert.equal(data.spreadOf([0.5, null, 0.75]), 0.25);
  assert.equal(data.spreadOf([0.5, undefined]), null);
  assert.equal(data.shareDone({ step: 5, steps: 10 }), 0.5);
  assert.equal(data.shareDone({ step: 5, steps: 10, progress: { step: 9, steps: 12 } }), 0.75);
  assert.equal(data.shareDone({ step: 0, steps: 0, progress: null }), null);
});
