import assert from "node:assert/strict";
import { test } from "node:test";
import "./bare_names.mjs";

const { boxes, channelsOf, ends, tablesOf } = await import("convscope/reach");
const { groupsOf, stepsOf } = await import("convscope/arithmetic");
const { stepTime } = await import("convscope/playback");
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
  assert.deepEqual(channelsOf({ channels_agree: false, channel: null }), [0, -1]);
  assert.deepEqual(channelsOf({ channels_agree: false, channel: 3 }), [3, 3]);
});

const term = (number, weight) => ({ operand: { value: "a", c: 0, at: [0, 0] }, number, weight, product: number * weight });
const products = {
  kind: "products", number: 7.5, sum: 7.5, bias: 0.5, group_count: 3, pages: 2,
  groups: [{ title: "channel 0", channel: 0, shape: [1, 2], sum: 5, terms: [term(1, 2), term(3, 1)] }, { title: "channel 4", channel: 4, shape: [1, 2], sum: 1, terms: [term(1, 1), term(0, 5)] }],
};

test("the sum runs over the terms, what is not shown, and the bias, and ends at the number", () => {
  const steps = stepsOf(products, groupsOf(products));
  assert.deepEqual(steps.map((step) => step.kind), ["term", "term", "term", "term", "rest", "bias", "result"]);
  assert.deepEqual(steps.map((step) => step.running), [2, 5, 6, 6, 7, 7.5, 7.5]);
});

test("a window's terms lie in its rows and columns", () => {
  const [group] = groupsOf(products);
  assert.deepEqual([group.rows, group.columns, group.places], [1, 2, [[0, 0], [0, 1]]]);
  const [list] = groupsOf({ groups: [{ title: "", shape: [], sum: 1, terms: [term(1, 1), term(2, 1)] }] });
  assert.deepEqual([list.rows, list.columns], [2, 1]);
});

test("lines lead from the terms of a mean to the number, and texts are numbers that JSON has not", () => {
  const mean = { kind: "mean", number: "NaN", groups: [{ title: "", shape: [2], sum: 3, terms: [term(1, 1), term(2, 1)] }], steps: [{ text: "sum", number: 3 }, { text: "÷ 2", number: 1.5 }] };
  const steps = stepsOf(mean, groupsOf(mean));
  assert.deepEqual(steps.map((step) => step.kind), ["term", "term", "line", "line", "result"]);
  assert.ok(Number.isNaN(steps.at(-1).number));
});

test("many steps play in half a minute at most", () => {
  assert.ok(stepTime(5, 1) === 620 && 10_000 * stepTime(10_000, 1) <= 30_000 && stepTime(5, 2) === 310);
});

test("a link's names are data", () => {
  assert.equal(parseState("#/explore?l=%3Cimg%20onerror%3E").state.value, "<img onerror>");
});
