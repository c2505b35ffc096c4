/** Numbers as text, as `report/units.py` writes them. */

const MINUS = "−";

/** Return a number of an answer; the texts "NaN" and "Infinity" become numbers. */
export const real = (x) => (x === null || x === undefined ? NaN : Number(x));

/** Return a count with its thousands apart: 118013952 -> "118,013,952". */
export function whole(n) {
  const [integer, ...decimals] = String(Math.round(1000 * n) / 1000).split(".");
  return [integer.replace(/\B(?=(\d{3})+$)/g, ","), ...decimals].join(".").replace("-", MINUS);
}

/** Return a large count short: 118013952 -> "118.0 M". @param {number|null|undefined} n */
export function short(n) {
  if (n === null || n === undefined) return "unknown";
  for (const [size, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (Math.abs(n) >= size) return `${(n / (size === 1e4 ? 1e3 : size)).toFixed(1)} ${letter}`;
  }
  return whole(n);
}

/**
 * Return a number in `digits` significant digits, without trailing zeros.
 * @param {number|null|undefined} x
 */
export function number(x, digits = 3) {
  if (x === null || x === undefined) return "–";
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : `${MINUS}∞`;
  if (x === 0) return "0";
  const size = Math.abs(x);
  const text = size >= 1e5 || size < 1e-4 ? x.toExponential(Math.max(0, digits - 1)).replace("e+", "e") : trimmed(x.toPrecision(digits));
  return text.replace("-", MINUS).replace("e-", `e${MINUS}`);
}

const trimmed = (text) => (text.includes("e") ? String(Number(text)) : text.includes(".") ? text.replace(/\.?0+$/, "") : text);

/** Return sizes along the axes: [64, 56, null] -> "64 × 56 × ?". @param {(number|null)[]|null|undefined} sizes */
export const shape = (sizes) => (sizes?.length ? sizes.map((n) => (n === null ? "?" : whole(n))).join(" × ") : "–");

/** Return a share as percent: 0.0312 -> "3.1 %". @param {number|null|undefined} x */
export function percent(x) {
  if (x === null || x === undefined) return "–";
  const p = 100 * x;
  return `${p >= 99.95 || p === 0 ? p.toFixed(0) : p >= 0.1 ? p.toFixed(1) : p < 0.01 ? "< 0.01" : p.toFixed(2)} %`;
}

/** Return a count with its noun: (1, "channel") -> "1 channel". */
export const plural = (n, noun) => `${whole(n)} ${noun}${n === 1 ? "" : "s"}`;

/** Return an inclusive range: (3, 29) -> "3–29". */
export const range = (lo, hi) => (lo === hi ? String(lo).replace("-", MINUS) : `${lo}–${hi}`.replace(/-/g, MINUS));

/** Return a number in as few characters as tell it apart, for a small cell. */
export function tiny(x) {
  const size = Math.abs(x);
  if (!Number.isFinite(x) || x === 0) return number(x);
  if (size >= 9999.5 || size < 0.00095) return number(x, 1);
  return x.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.0995 ? 2 : 3).replace("-", MINUS);
}
