/** One number as people write it, read as `exercises/number_text.py` reads it; a test compares the two. */

const MOST_CHARACTERS = 500;
const MOST_DIGITS = 40;

const PLAIN = /^([+-]?)(\d+)$/;
const THOUSANDS = /^([+-]?)([1-9]\d{0,2}([, '_])\d{3}(?:\3\d{3})*)(\.\d+)?$/;
const DOTTED = /^([+-]?)([1-9]\d{0,2}(?:\.\d{3}){2,})$/;
const DECIMAL = /^[+-]?(?:\d*\.\d+|\d+\.|\d+(?=[eE]))(?:[eE][+-]?\d{1,3})?$/;
const COMMA = /^[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+$/;
const POWER = /^([+-]?)(\d{1,6})\s*(?:\^|\*\*)\s*(\d{1,2})$/;
const REAL_POWER = /^([+-]?)(\d{1,6}|\d{0,6}\.\d{1,6})\s*(?:\^|\*\*)\s*([+-]?\d{1,2})$/;
const OF_TEN = /^([+-]?(?:\d+|\d*\.\d+))\s*[x*]\s*10\s*(?:\^|\*\*)\s*([+-]?\d{1,2})$/;
const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const FRACTION = /^([+-]?\d+)\s*\/\s*(\d+)$/;

const ALIKE = {
  "−": "-", "–": "-", "‐": "-", "‑": "-", "＋": "+", "，": ",", "、": ",", "；": ";", "．": ".", "٬": ",", "٫": ".",
  "’": "'", "‘": "'", "×": "x", "✕": "x", "⨯": "x", "·": "x", "⋅": "x", "∗": "*", "＝": "=", "⁄": "/", "（": "(",
  "）": ")", "［": "[", "］": "]", "\u00a0": " ", "\u2007": " ", "\u2009": " ", "\u202f": " ", "\u3000": " ",
  "\t": " ",
};
const MATHEMATICAL_DIGITS = 0x1d7ce; // five sets of ten without a gap

/** An answer that can't be read: the key of its text, what fills it, and what may have been meant. */
export class AnswerError extends Error {
  /** @param {string} key of the texts about answers @param {Object<string, any>} [values] @param {string} [suggestion] */
  constructor(key, values = {}, suggestion = "") {
    super(key);
    this.key = key;
    this.values = values;
    this.suggestion = suggestion;
  }
}

/** Return an answer with plain digits, signs, commas and spaces; of an equation, what stands right of its last "=". @param {string} text */
export function cleaned(text) {
  const characters = Array.from(text);
  if (characters.length > MOST_CHARACTERS) throw new AnswerError("too-long", { characters: characters.length, most: MOST_CHARACTERS });
  const plain = plainText(text);
  const found = plain.slice(plain.lastIndexOf("=") + 1).trim();
  if (!found) throw new AnswerError("empty");
  return found;
}

/** Return a text with plain digits, signs, commas and spaces. @param {string} text */
export function plainText(text) {
  const lowered = (power) => power.replaceAll("⁻", "-").replaceAll("⁺", "+").replace(/[⁰¹²³⁴-⁹]/g, (one) => String(RAISED.indexOf(one)));
  const written = text.replace(/[⁺⁻]?[⁰¹²³⁴-⁹]+/g, (power) => `^${lowered(power)}`);
  return Array.from(written).map((one) => digit(ALIKE[one] ?? one)).join("");
}

function digit(character) {
  if (!/\p{Nd}/u.test(character)) return character;
  const code = /** @type {number} */ (character.codePointAt(0));
  if (code >= MATHEMATICAL_DIGITS && code < MATHEMATICAL_DIGITS + 50) return String((code - MATHEMATICAL_DIGITS) % 10);
  let zero = code;
  while (code - zero < 9 && /\p{Nd}/u.test(String.fromCodePoint(zero - 1))) zero -= 1;
  return String(code - zero);
}

/** Return an answer as a message quotes it. @param {string} text */
export function shown(text) {
  const characters = Array.from(text);
  const short = characters.length <= 40 ? text : `${characters.slice(0, 37).join("")}...`;
  const quote = short.includes("'") && !short.includes('"') ? '"' : "'";
  return quote + short.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r").replaceAll(quote, `\\${quote}`) + quote;
}

/** Return whether a number is whole. @param {number|bigint} value */
export const isWhole = (value) => typeof value === "bigint" || Number.isInteger(value);

/** Return a whole number: as Number where that has all of its digits, else as BigInt. @param {bigint} whole */
const wholeNumber = (whole) => (Number.isSafeInteger(Number(whole)) ? Number(whole) : whole);

/** Return a number that was rounded, as `wholeNumber` does where it is whole. @param {number} value */
const rounded = (value) => (Number.isInteger(value) ? wholeNumber(BigInt(value)) : value);

/** Return a fraction, rounded once. @param {bigint} top @param {bigint} below not 0 */
function quotient(top, below) {
  if (top % below === 0n) return wholeNumber(top / below);
  const size = (top < 0n ? -top : top) << 200n; // so that the quotient has more bits than a Number, and one for the rest
  const bits = (size / below) | (size % below ? 1n : 0n);
  return rounded((Number(bits) / 2 ** 200) * (top < 0n ? -1 : 1));
}

/** Return a number in decimals, times a power of ten. @param {string} text as "-1.5" @param {number} [power] */
function decimal(text, power = 0) {
  const [whole, rest = ""] = text.split(".");
  const digits = BigInt(`${whole.replace(/^[+-]/, "")}${rest}`) * (text.startsWith("-") ? -1n : 1n);
  const places = power - rest.length;
  if (places >= 0) return wholeNumber(digits * 10n ** BigInt(places));
  const below = 10n ** BigInt(-places);
  return digits % below === 0n ? wholeNumber(digits / below) : rounded(Number(`${text}e${power}`));
}

/**
 * Return the number that a cleaned text is, or null where it is none.
 * @param {string} text without spaces at its ends @param {boolean} whole whether a whole number is asked for
 * @param {number[]|null} [digits] how many digits a number of that size can have: else "1.792" is a decimal number
 * @returns {number|bigint|null}
 */
export function readNumber(text, whole, digits = null) {
  if ((text.match(/\d/g) ?? []).length > MOST_DIGITS) throw new AnswerError("too-many-digits", { most: MOST_DIGITS });
  if (!whole && text.endsWith("%")) {
    const share = readNumber(text.slice(0, -1).trimEnd(), false, digits);
    if (share === null) return null;
    return isWhole(share) ? quotient(BigInt(share), 100n) : share / 100;
  }
  askAboutMarks(text, whole, digits);
  if (PLAIN.test(text)) return decimal(text);
  const thousands = THOUSANDS.exec(text);
  if (thousands) return decimal(thousands[1] + thousands[2].replace(/\D/g, "") + (thousands[4] ?? ""));
  if (DOTTED.test(text)) return decimal(text.replaceAll(".", ""));
  if (DECIMAL.test(text)) {
    const [number, power = "0"] = text.toLowerCase().split("e");
    return Math.abs(Number(text)) < 1e30 ? decimal(number, Number(power)) : null;
  }
  const power = POWER.exec(text);
  if (power) {
    const value = BigInt(power[2]) ** BigInt(power[3]);
    if (value >= 10n ** BigInt(MOST_DIGITS)) throw new AnswerError("too-many-digits", { most: MOST_DIGITS });
    return wholeNumber(power[1] === "-" ? -value : value);
  }
  const real = whole ? null : REAL_POWER.exec(text);
  if (real) return realPower(Number(real[2]), Number(real[3]), real[1]);
  const ofTen = whole ? null : OF_TEN.exec(text);
  if (ofTen) return decimal(ofTen[1], Number(ofTen[2]));
  const fraction = FRACTION.exec(text);
  return fraction && Number(fraction[2]) ? quotient(BigInt(fraction[1]), BigInt(fraction[2])) : null;
}

/** @param {number} base @param {number} exponent @param {string} sign */
function realPower(base, exponent, sign) {
  if (!base && exponent < 0) return null;
  if (base && exponent * Math.log10(base) >= MOST_DIGITS) throw new AnswerError("too-many-digits", { most: MOST_DIGITS });
  return rounded((sign === "-" ? -1 : 1) * base ** exponent);
}

/** Throw where a comma or a dot can be a decimal mark as well as one that sets thousands apart. */
function askAboutMarks(text, whole, digits) {
  const canBeThousands = !digits || digits.includes((text.match(/\d/g) ?? []).length);
  if (COMMA.test(text)) {
    const [before, after] = text.split(",");
    const decimal = `${before.replaceAll(".", "")}.${after}`;
    if (!THOUSANDS.test(text) || !(whole || canBeThousands)) throw new AnswerError("decimal-comma", { given: shown(text), decimal }, decimal);
    if (!whole) throw new AnswerError("either", { given: shown(text), whole: before + after, decimal }, decimal);
  } else if (whole && canBeThousands && /^[+-]?[1-9]\d{0,2}\.\d{3}$/.test(text)) {
    const joined = text.replace(".", "");
    throw new AnswerError("dot-thousands", { given: shown(text), whole: joined }, joined);
  }
}
