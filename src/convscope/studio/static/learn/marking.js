/** Which known mistake an answer shows, as `exercises/marking.py` finds it; a test compares the two. */
import { judge } from "convscope/learn/design";
import { filled, powerOfTen } from "convscope/learn/fill";
import { isWhole } from "convscope/learn/number_text";
import { parseAnswer } from "convscope/learn/parse";

/** An answer as `marking` and `exercises/record.py` have it. @typedef {number|bigint|string|any[]} Answer */

/**
 * Read an answer and mark it; throws AnswerError where it can't be read.
 * @param {string} text @param {any} exercise as the server gives it @param {any} words the texts about answers
 * @returns {{mark: "right"|"misconception"|"wrong", name: string, lines: string[], given: Answer}}
 */
export function marked(text, exercise, words) {
  const given = parseAnswer(text, exercise, words.units);
  const shown = answerText(given);
  const way = filled(words[exercise.kind === "choice" ? "consider" : "arithmetic"], { formula: exercise.formula });
  if (exercise.kind === "layers") {
    const missed = judge(/** @type {string[]} */ (given), exercise.limits);
    if (!missed) return { mark: "right", name: "", lines: [filled(words.right, { answer: shown })], given };
    const values = { ...exercise.limits, ...missed.values, given: shown };
    return { mark: "misconception", name: missed.name, lines: [filled(exercise.sentences[missed.name], values), way], given };
  }
  if (agree(given, exercise.answer, exercise.within)) {
    return { mark: "right", name: "", lines: [filled(words.right, { answer: shown })], given };
  }
  const known = named(given, exercise);
  if (known) return { mark: "misconception", name: known.name, lines: [filled(known.sentence, { given: shown }), way], given };
  return { mark: "wrong", name: "", lines: [filled(words.wrong, { given: shown }), filled(words.check, { step: exercise.steps[0] })], given };
}

/** Return whether two answers are the same, numbers to a relative difference. @param {Answer} one @param {Answer} other @param {number} within */
export function agree(one, other, within) {
  if (typeof one === "string" || typeof other === "string") return one === other;
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((value, index) => agree(value, /** @type {any[]} */ (other)[index], within));
  }
  if (Array.isArray(one) || Array.isArray(other)) return false;
  const apart = isWhole(one) && isWhole(other) ? BigInt(one) - BigInt(other) : Number(one) - Number(other);
  return (apart < 0 ? -apart : apart) <= within * Math.max(Math.abs(Number(one)), Math.abs(Number(other)));
}

const fractional = (value) => typeof value === "number" && !isWhole(value);

/** Return the misconception that leads to an answer, or to those of its numbers that are wrong. */
function named(given, { answer, wrong, within, rounded }) {
  const apart = wrong.filter(({ value }) => !agree(value, answer, within));
  for (const allowed of fractional(given) ? [within, rounded] : [within]) {
    const found = apart.find(({ value }) => agree(given, value, allowed) && (allowed === within || fractional(value)));
    if (found) return found;
  }
  return apart.find(({ value }) => inPart(given, answer, value));
}

/** Return whether each number of an answer is the right one or the misconception's. */
function inPart(given, answer, value) {
  if (![given, answer, value].every(Array.isArray)) return false;
  if (given.length !== answer.length || given.length !== value.length) return false;
  return given.every((one, index) => agree(one, answer[index], 0) || agree(one, value[index], 0));
}

/** Return an answer as it would be typed. @param {Answer} value @returns {string} */
export function answerText(value) {
  if (Array.isArray(value) && Array.isArray(value[0])) return value.map((row) => row.map(plain).join(" ")).join("; ");
  if (Array.isArray(value) && typeof value[0] === "string") return value.join(" ");
  if (Array.isArray(value)) {
    const texts = value.map(plain);
    return texts.join(texts.some((text) => text.includes(",")) ? "; " : ", "); // a comma may set thousands apart
  }
  return plain(value);
}

function plain(value) {
  if (typeof value !== "number" && typeof value !== "bigint") return String(value);
  const size = value < 0 ? -value : value;
  const text = isWhole(value) ? String(BigInt(size)).replace(/\B(?=(\d{3})+$)/g, ",") : fourDigits(size);
  return value < 0 ? `−${text}` : text;
}

/** Return a number in four significant digits: with a power of ten where it is below 0.0001 or needs more digits before the point. */
function fourDigits(value) {
  const [digits, exponent] = value.toExponential(3).split("e");
  const power = Number(exponent);
  if (power >= -4 && power < 4) return String(Number(value.toPrecision(4)));
  return `${String(Number(digits))} × ${powerOfTen(power)}`;
}
