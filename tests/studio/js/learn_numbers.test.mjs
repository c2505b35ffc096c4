import assert from "node:assert/strict";
import { test } from "node:test";
import "./bare_names.mjs";

const { along, numberText, powerOfTen, scientific } = await import("convscope/learn/fill");

test("small numbers are written with a power of ten", () => {
  assert.deepEqual([powerOfTen(-12), powerOfTen(3)], ["10⁻¹²", "10³"]);
  assert.deepEqual([scientific("1.5e−5"), scientific("0.25"), scientific("−2e3")], ["1.5 × 10⁻⁵", "0.25", "−2 × 10³"]);
  assert.deepEqual([numberText(0.25 ** 8), numberText(-1e-9), numberText(0), numberText(0.00244)], ["1.5259 × 10⁻⁵", "−1 × 10⁻⁹", "0", "0.00244"]);
});

test("a size that is not known is a dash", () => {
  assert.deepEqual([along([3, 3]), along([3, 5]), along([null, null]), along([32, null])], ["3", "3×5", "–", "32×–"]);
});
