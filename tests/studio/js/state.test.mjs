import assert from "node:assert/strict";
import { test } from "node:test";
import "./bare_names.mjs";

const { DEFAULTS, ORDERS, SCALES, clamped, formatState, numberText, parseState, runNameOf } = await import("convscope/state");

/** Numbers in an order that a seed decides. */
function draws(seed) {
  let state = seed;
  return (below) => {
    state = (state * 1664525 + 1013904223) % 2 ** 32;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const TEXTS = ["", "resnet18", "layer1.0:relu#2", "a b+c%2C;d", "ü/ß@1", "<img onerror=x>", "x=y&z?#", "日本語"];

function drawnState(draw) {
  const text = () => TEXTS[draw(TEXTS.length)];
  const maybe = (value) => (draw(2) ? value : null);
  const number = () => (draw(2_000_001) - 1_000_000) / 10 ** draw(7);
  const changes = [
    () => ({ op: "shift", dy: draw(100) - 50, dx: draw(100) - 50 }),
    () => ({ op: "rotate", degrees: (draw(7200) - 3600) / 10 }),
    () => ({ op: "blur", sigma: draw(3200) / 100 }),
    () => ({ op: "crop", box: [draw(9), draw(9), 10 + draw(9), 10 + draw(9)] }),
    () => ({ op: "occlude", box: [draw(9), draw(9), 10 + draw(9), 10 + draw(9)] }),
    () => ({ op: "channel_off", value: TEXTS[1 + draw(TEXTS.length - 1)], channel: draw(500) }),
    () => ({ op: "kernel", module: TEXTS[1 + draw(TEXTS.length - 1)], out: draw(9), in: draw(9), weights: Array.from({ length: 3 }, () => [number(), number(), number()].map((x) => Number(numberText(x)))) }),
  ];
  return {
    ...DEFAULTS,
    ...[{ room: "explore" }, { room: "train" }, { room: "learn", lesson: "3a" }][draw(3)], seed: maybe(draw(10 ** 6)), model: text(), image: text(), value: text(), channel: maybe(draw(2048)), at: maybe([draw(99), draw(99)]),
    order: ORDERS[draw(4)], scale: SCALES[draw(3)], colours: draw(2) ? "viridis" : "", page: draw(9), step: maybe(draw(99)),
    interventions: Array.from({ length: draw(4) }, () => changes[draw(changes.length)]()), attribution: draw(2) ? "grad-cam" : "", target: maybe(draw(1000)),
    other: text(), run: text(), new: Boolean(draw(2)), compare: Array.from({ length: draw(3) }, () => TEXTS[1 + draw(TEXTS.length - 1)]),
  };
}

// What a link of each room carries.
const CARRIED = {
  explore: ["model", "image", "value", "channel", "at", "order", "scale", "colours", "page", "step", "interventions", "attribution", "target", "other"],
  train: ["run", "new", "compare"],
  learn: ["lesson", "step", "seed"],
};

test("a run's name is read from the key of its weights, whatever it is", () => {
  const keys = { "run:a": "a", "run:a@b": "a@b", "run:a@best": "a", "run:a@step-42": "a", "run:a@best@best": "a@best", "run:new\nline@step-1": "new\nline", "run:a@step-1234567890123": "a@step-1234567890123", resnet18: "" };
  for (const [key, name] of Object.entries(keys)) assert.equal(runNameOf(key), name, key);
});

test("a state becomes a link and the same state of its room again", () => {
  const draw = draws(7);
  for (let i = 0; i < 2000; i += 1) {
    const state = drawnState(draw);
    const { state: found, notes } = parseState(formatState(state));
    const carried = Object.fromEntries(CARRIED[state.room].map((name) => [name, state[name]]));
    assert.deepEqual(found, { ...DEFAULTS, room: state.room, ...carried });
    assert.deepEqual(notes, []);
  }
});

test("a link of anything is read without an error, and what is kept is within range", () => {
  const draw = draws(11);
  const pieces = ["#/explore?", "v=1", "&", "c=-4", "at=1", "at=9,99999999999", "x=shift:1", "x=off::3", ";", "%", "%zz", "=", "page=1e9", "kernel:a:1:2:1,,2", "room", "\ud800", "order=best", "map=VIRIDIS"];
  for (let i = 0; i < 2000; i += 1) {
    const link = Array.from({ length: 1 + draw(9) }, () => pieces[draw(pieces.length)]).join(draw(2) ? "&" : "");
    const { state } = parseState(link);
    assert.ok(ORDERS.includes(state.order) && SCALES.includes(state.scale));
    assert.ok(state.channel === null || (state.channel >= 0 && state.channel <= 65535));
    assert.deepEqual(parseState(formatState(state)).state, state);
  }
});

test("what is out of range of the network is moved to the nearest end and said", () => {
  const { state, notes } = clamped({ ...DEFAULTS, channel: 70, at: [3, 9], target: 12 }, [64, 7, 7], 10);
  assert.deepEqual([state.channel, state.at, state.target], [63, [3, 6], 9]);
  assert.deepEqual(notes, ["c=70 is out of range: 63 is shown", "at=3,9 is out of range: 3,6 is shown", "class=12 is out of range: 9 is shown"]);
});
