import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import "./bare_names.mjs";

const { filled, numberText } = await import("convscope/learn/fill");
const LEARN = new URL("../../../src/convscope/studio/static/learn/", import.meta.url);

test("commands name the learner's own network as a terminal does", async () => {
  const { commandValues } = await import("convscope/learn/own_commands");
  const graph = { units: [{ type: "input", kind: "input", shape: [3, 32, 32] }, { type: "Conv2d", kind: "layer", name: "stem.0" }] };
  const given = { key: "given", kind: "given", title: "my net.py:small" };
  assert.deepEqual(commandValues(given, graph), { model: "'my net.py:small'", layer: "stem.0", input: " --input 3x32x32" });
  assert.deepEqual(commandValues(given, null), { model: "'my net.py:small'", layer: "LAYER", input: "" });
  assert.deepEqual(commandValues({ key: "run:a", kind: "run", title: "a" }, graph), { model: "runs/a", layer: "stem.0", input: "" });
  assert.equal(commandValues({ key: "run:a@best@best", kind: "run", title: "a@best" }, graph).model, "runs/a@best");
  assert.deepEqual(commandValues(undefined, null), { model: "lenet5-digits", layer: "c1", input: "" });
});

/** Import the module of progress anew, as a page does that is opened. @param {any} storage */
async function opened(storage) {
  globalThis.localStorage = storage;
  return import(`${new URL("progress.js", LEARN).href}?${Math.random()}`);
}

function storing(content = {}) {
  const kept = new Map(Object.entries(content));
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
}

test("the arithmetic of the page stays below 150 lines", () => {
  assert.ok(readFileSync(new URL("arithmetic.js", LEARN), "utf8").split("\n").length < 150);
});

test("numbers are put in the place of their names, and unknown names stay", () => {
  assert.equal(filled("{count} of {size}, {left-over}, {other}", { count: 1234567, size: -0.25, "left-over": "x" }), "1,234,567 of −0.25, x, {other}");
  assert.equal(numberText(1234.5678), "1,234.6");
});

test("three in a row master an exercise, and it stays mastered", async () => {
  const storage = storing();
  const progress = await opened(storage);
  [true, true, false, true, true, true, false].forEach((right, seed) => progress.note("3a", seed, right, "2026-01-01"));
  assert.deepEqual(progress.progressOf("3a"), { streak: 0, drawn: 7, right: 5, mastered: "2026-01-01", seeds: [0, 1, 2, 3, 4, 5, 6] });
  const again = await opened(storage);
  assert.deepEqual(again.progressOf("3a"), progress.progressOf("3a"));
  assert.equal(again.exported("unsupervised").unsupervised, true);
  again.forget();
  assert.equal((await opened(storage)).progressOf("3a").drawn, 0);
});

test("the same numbers do not count again, as in the terminal", async () => {
  const progress = await opened(storing());
  for (let time = 0; time < 3; time += 1) progress.note("3a", 42, true);
  assert.equal(progress.progressOf("3a").streak, 1);
  progress.note("4a", 1, false); // its answer was shown
  progress.note("4a", 1, true);
  assert.equal(progress.progressOf("4a").streak, 0);
});

test("two tabs keep the progress of both", async () => {
  const storage = storing();
  const [one, other] = [await opened(storage), await opened(storage)];
  one.note("3a", 1, true);
  other.note("4a", 1, true);
  one.note("3a", 2, true);
  const again = await opened(storage);
  assert.deepEqual([again.progressOf("3a").drawn, again.progressOf("4a").drawn], [2, 1]);
});

test("progress that a full storage does not take is kept in the page", async () => {
  const storage = storing();
  const progress = await opened({ ...storage, setItem: () => { throw new DOMException("full", "QuotaExceededError"); } });
  progress.note("3a", 1, true);
  progress.note("3a", 2, true);
  assert.equal(progress.progressOf("3a").streak, 2);
});

test("without storage, with a full one or with what others have stored, the page goes on", async () => {
  const denied = { getItem: () => { throw new DOMException("denied", "SecurityError"); }, setItem: () => { throw new DOMException("full", "QuotaExceededError"); } };
  for (const storage of [undefined, denied, storing({ "convscope-learn": "{" }), storing({ "convscope-learn": "[1]" }), storing({ "convscope-learn": '{"exercises":{"3a":null}}' }), storing({ "convscope-learn": '{"exercises":{"3a":{"streak":"x"}}}' })]) {
    const progress = await opened(storage);
    assert.equal(progress.progressOf("3a").drawn, 0);
    progress.note("3a", 3, true);
    assert.equal(progress.progressOf("3a").streak, 1);
    assert.equal(progress.isStored(), storage !== undefined && storage !== denied);
  }
});
