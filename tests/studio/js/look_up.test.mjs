import assert from "node:assert/strict";
import { test } from "node:test";
import "./bare_names.mjs";

const { boxes, channelsOf, ends, tablesOf } = await import("convscope/reach");
const { Playback, stepsOf, stepTime } = await import("convscope/playback");
const { oncePerTask } = await import("convscope/store");
const { real } = await import("convscope/units");
const { parseState } = await import("convscope/state");

const header = {
  dtype: "int16", direction: "backward", channels_agree: true,
  targets: [
    { value: "input", status: "exact", holes: false, axes: { y: { along: "y", offset: 0, count: 3 }, x: { along: "x", offset: 0, count: 3 } } },
    { value: "mean", status: "whole axis", axes: { y: { along: null, offset: 6, count: 1 }, x: { along: null, offset: 6, count: 1 } } },
    { value: "vector", status: "exact", axes: {} },
    { value: "tokens", status: "exact", axes: { y: { along: "y", offset: 0, count: 3, and: [{ along: "x", offset: 8, count: 3 }] }, x: { along: null, offset: 6, count: 1 } } },
  ],
};
const numbers = Int16Array.from([0, 1, 2, 2, 3, 4, 0, 9, 0, 9, 3, 9, 9, 5]);
const tables = tablesOf({ header, bytes: new Uint8Array(numbers.buffer) });

test("a cell's boxes are looked up, axis by axis", () => {
  const found = boxes(tables, 1, 2);
  assert.deepEqual(found.get("input"), { value: "input", y0: 1, y1: 3, x0: 2, x1: 4, hull: false, status: "exact" });
  assert.deepEqual([found.get("mean").y0, found.get("mean").y1], [0, 9]);
  assert.deepEqual([found.get("vector").y0, found.get("vector").y1], [0, 0]);
});

test("what two tables say of an axis is intersected, and is a hull", () => {
  const found = boxes(tables, 1, 2).get("tokens");
  assert.deepEqual([found.y0, found.y1, found.hull], [3, 3, true]);
  assert.equal(ends(tables.numbers, header.targets[3].axes.y, { y: 1, x: 1 }), null);
});

test("tables are good for the channels that they name", () => {
  assert.deepEqual(channelsOf({ channels_agree: true }), [0, Infinity]);
  assert.deepEqual(channelsOf({ channels: [16, 31] }), [16, 31]);
  assert.deepEqual(channelsOf({ channels: [0, 63], direction: "forward" }), [0, Infinity]);
});

test("the steps of a worked number are its terms and what follows them, with the server's sums", () => {
  const group = (...products) => ({ title: "channel 0", terms: products.map(([product, running]) => ({ product, running })) });
  const following = [{ kind: "rest", number: 1, running: 7, title: "" }, { kind: "result", number: 7.5, running: 7.5, title: "" }];
  const steps = stepsOf([group([2, 2], [3, 5]), group([1, 6])], following);
  assert.deepEqual(steps.map(({ kind, group: g, term }) => [kind, g, term]), [["term", 0, 0], ["term", 0, 1], ["term", 1, 0], ["rest", -1, -1], ["result", -1, -1]]);
  assert.deepEqual(steps.map((step) => step.running), [2, 5, 6, 7, 7.5]);
  assert.equal(stepsOf([group([2, undefined])], [])[0].running, null);
});

test("texts are numbers that JSON has not", () => {
  assert.deepEqual(["NaN", "-Infinity", null, 0.5].map(real), [NaN, -Infinity, NaN, 0.5]);
});

test("many steps play in half a minute at most", () => {
  assert.ok(stepTime(5, 1) === 620 && 10_000 * stepTime(10_000, 1) <= 30_000 && stepTime(5, 2) === 310);
});

test("a number that is taken while another plays begins at rest", () => {
  globalThis.requestAnimationFrame = () => 1;
  globalThis.cancelAnimationFrame = () => {};
  const drawn = [];
  const playback = new Playback((...how) => drawn.push(how));
  playback.reset(9, 3);
  playback.play();
  playback.reset(4, 3);
  assert.deepEqual([playback.index, playback.playing, drawn], [3, false, [[3, true]]]);
});

test("work for all changes of one task is done once, after them", async () => {
  let [count, done] = [0, 0];
  const soon = oncePerTask(() => { done = count; });
  for (count = 1; count < 3; count += 1) soon();
  assert.equal(done, 0);
  await null;
  assert.equal(done, 3);
  soon();
  await null;
  assert.equal(done, 3);
});

test("a link's names are data", () => {
  assert.equal(parseState("#/explore?l=%3Cimg%20onerror%3E").state.value, "<img onerror>");
});

test("where a browser refuses to write so many links, the newest is written later", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { go, link } = await import("convscope/store");
  const written = [];
  let refuses = true;
  const write = (name) => (_state, _title, fragment) => {
    if (refuses) throw new DOMException("too many", "SecurityError");
    written.push([name, fragment]);
  };
  globalThis.history = { pushState: write("pushState"), replaceState: write("replaceState") };
  for (const channel of [1, 2]) go({ channel });
  assert.equal(link().channel, 2);
  refuses = false;
  t.mock.timers.tick(1000);
  assert.deepEqual(written, [["replaceState", "#/explore?v=1&c=2"]]);
  go({ channel: 3 });
  assert.deepEqual(written.at(-1), ["pushState", "#/explore?v=1&c=3"]);
});
