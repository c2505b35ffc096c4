import assert from "node:assert/strict";
import { test } from "node:test";
import "./bare_names.mjs";

const { channelTable, colourTable, cssColour, inkOn, mapScale, scaleOf } = await import("convscope/atlas");
const { decode, floats } = await import("convscope/packet");
const { scrolledTo, visible } = await import("convscope/virtual");
const { number, percent, short, tiny } = await import("convscope/units");

/** Return a packet as the server writes it. @param {Uint8Array} bytes */
function encode(header, bytes) {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const all = new Uint8Array(4 + text.length + ((4 - (text.length % 4)) % 4) + bytes.length);
  new DataView(all.buffer).setUint32(0, text.length, true);
  all.set(text, 4);
  all.set(bytes, all.length - bytes.length);
  return all.buffer;
}

test("a packet is read back as it was written", () => {
  for (let length = 0; length < 9; length += 1) {
    const bytes = Uint8Array.from({ length: 4 * length }, (_, i) => i);
    const found = decode(encode({ value: "ü".repeat(length) }, bytes));
    assert.equal(found.header.value, "ü".repeat(length));
    assert.deepEqual([...found.bytes], [...bytes]);
    assert.equal(floats(found).length, length);
  }
  assert.throws(() => decode(new Uint8Array([200, 0, 0, 0, 1]).buffer), /cut off/);
});

test("numbers below 0 have the diverging colours, 0 in their middle", () => {
  assert.deepEqual(scaleOf(-3, 1, ""), { name: "diverging", low: -3, high: 3 });
  assert.deepEqual(scaleOf(0.5, 2, ""), { name: "cividis", low: 0, high: 2 });
  const table = channelTable(-3, 3, scaleOf(-3, 3, ""));
  assert.equal(table[0], colourTable("diverging")[0]);
  assert.equal(table[255], colourTable("diverging")[255]);
});

test("a constant map has one colour", () => {
  assert.equal(new Set(channelTable(0, 0, scaleOf(0, 0, ""))).size, 1);
});

test("one scale of a layer gives equal numbers of two maps equal colours", () => {
  const atlas = { shape: [2, 1, 1], lo: [0, 0], hi: [1, 2], layer: { lo: 0, hi: 2 }, network: { lo: -1, hi: 4 } };
  const [first, second] = [0, 1].map((i) => channelTable(atlas.lo[i], atlas.hi[i], mapScale(atlas, i, "layer", "")));
  assert.equal(first[255], second[Math.round(255 / 2)]);
  assert.notEqual(channelTable(0, 1, mapScale(atlas, 0, "map", ""))[255], first[255]);
});

test("ink on every colour of every colour map has a contrast of 4.5 and more", () => {
  const luminance = (css) => {
    const [r, g, b] = css.match(/\d+/g).map((text) => (Number(text) / 255 <= 0.04045 ? Number(text) / 255 / 12.92 : ((Number(text) / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  for (const name of ["cividis", "viridis", "magma", "grey", "diverging"]) {
    for (let i = 0; i <= 255; i += 1) {
      const css = cssColour(i, { name, low: 0, high: 255 });
      const [a, b] = [luminance(css), inkOn(css) === "#ffffff" ? 1 : 0].sort((x, y) => y - x);
      assert.ok((a + 0.05) / (b + 0.05) >= 4.5, `${name} ${i} ${css}`);
    }
  }
});

test("of a long list the rows in view and some around them are drawn", () => {
  assert.deepEqual(visible({ count: 10_000, row: 20, top: 2000, height: 400, extra: 5 }), { first: 95, last: 125 });
  assert.deepEqual(visible({ count: 3, row: 20, top: 0, height: 400 }), { first: 0, last: 3 });
  assert.deepEqual(visible({ count: 0, row: 20, top: 0, height: 400 }), { first: 0, last: 0 });
  assert.equal(scrolledTo({ index: 50, row: 20, top: 0, height: 400 }), 620);
  assert.equal(scrolledTo({ index: 5, row: 20, top: 0, height: 400 }), 0);
});

test("numbers are written as the package writes them", () => {
  assert.deepEqual([0, -0.5, 12.345, 0.00001234, 1e9, NaN, Infinity].map((x) => number(x)), ["0", "−0.5", "12.3", "1.23e−5", "1.00e9", "NaN", "∞"]);
  assert.deepEqual([118_013_952, 1000, null].map(short), ["118.0 M", "1,000", "unknown"]);
  assert.deepEqual([1, 0.031, 0.000001].map(percent), ["100 %", "3.1 %", "< 0.01 %"]);
  assert.deepEqual([0, 0.5, -0.0653, 123.4, 12.34, 1e-5].map(tiny), ["0", "0.50", "−0.065", "123", "12.3", "1e−5"]);
});
