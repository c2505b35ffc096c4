/** Answers in any spelling, read as `exercises/parse.py` reads them; a test compares the two. */
import { AnswerError, cleaned, plainText, readNumber, shown } from "convscope/learn/number_text";

const BETWEEN = /\s*(?:;|(?<=[\d)\s])[xX](?=[\s(]*[+-]?\d)|\*(?!\*)|\||&|\band\b)\s*/;
const MOST_NUMBERS = 64;

/**
 * Return the value that an answer stands for: a number, numbers, rows of numbers, a letter, or names of layers.
 * @param {string} text
 * @param {{kind: string, lengths: number[], sizes: number[][], digits: number[], options: Object<string, string>, words: Object<string, string[]>}} asked
 * @param {string[]} units names of units that may stand behind a number
 */
export function parseAnswer(text, asked, units) {
  const plain = cleaned(text);
  for (const [name, spellings] of Object.entries(asked.words)) {
    if (spellings.includes(stripped(plain.toLowerCase(), " .!"))) return name;
  }
  if (asked.kind === "choice") return option(text, plain, asked);
  const read = { layers, matrix, numbers, shape: numbers }[asked.kind];
  if (read) return read(plain, asked, units);
  const found = readNumber(withoutUnit(stripped(plain, "()[] "), units), asked.kind === "whole", asked.digits);
  if (found === null) throw new AnswerError(`no-${asked.kind}`, { given: shown(text) });
  return found;
}

/** Return a text without any of these characters at its ends. */
function stripped(text, characters) {
  let [start, end] = [0, text.length];
  while (start < end && characters.includes(text[start])) start += 1;
  while (end > start && characters.includes(text[end - 1])) end -= 1;
  return text.slice(start, end);
}

function withoutUnit(text, units) {
  const found = /^(.*[\d%.])\s*([\p{L}\p{Nl}\p{No}]+)\.?$/u.exec(text);
  return found && units.includes(found[2].toLowerCase()) ? found[1] : text;
}

/** Return the letter of an option: by the letter, its place from 1, or its text, in which "=" is no equation's. */
function option(text, plain, { options }) {
  const letters = Object.keys(options);
  for (const given of [text, plain]) {
    const byText = letters.findLast((letter) => alike(options[letter]) === alike(given));
    if (byText !== undefined) return byText;
  }
  const key = stripped(plain.toLowerCase(), " ().:]");
  if (letters.includes(key)) return key;
  if (/^\d{1,3}$/.test(key) && Number(key) >= 1 && Number(key) <= letters.length) return letters[Number(key) - 1];
  throw new AnswerError("no-choice", { given: shown(plain), letters: letters.join(", ") });
}

/** Return an option's text as it is compared: without case, with plain signs and single spaces. @param {string} text */
const alike = (text) => stripped(plainText(text).toLowerCase().split(/\s+/).filter(Boolean).join(" "), " .");

function numbers(text, { lengths, digits }, units) {
  const inner = stripped(text.replace(/[()[\]{}]/g, " "), " ,");
  const strong = inner.split(BETWEEN).map((part) => stripped(part, " ,"));
  const ways = strong.length > 1 ? [strong] : [];
  ways.push(strong.flatMap((one) => one.split(/,\s+|\s+/).filter(Boolean)));
  const last = ways[ways.length - 1];
  for (const length of lengths.length ? lengths : [last.length]) {
    for (const parts of ways) {
      const found = exactly(parts, length, units, digits);
      if (found.length === 1) return found[0];
      if (found.length > 1) throw new AnswerError("ambiguous", { given: shown(text), count: length });
    }
  }
  const count = lengths[0] ?? 2;
  const values = last.flatMap((part) => part.split(",").filter(Boolean)).map((part) => readNumber(withoutUnit(part, units), true, digits));
  if (!values.length || values.includes(null) || values.length > MOST_NUMBERS) throw new AnswerError("no-numbers", { given: shown(text), count });
  throw new AnswerError("count", { count, got: values.length });
}

/** Return the ways in which the parts are `length` numbers: one with commas can be several, or one in thousands. */
function exactly(parts, length, units, digits) {
  if (parts.length > length || parts.length > MOST_NUMBERS) return [];
  let ways = [[]];
  for (const part of parts) {
    const read = readings(part, units, digits).filter((each) => each.length <= length);
    ways = ways.flatMap((way) => read.filter((each) => way.length + each.length <= length).map((each) => [...way, ...each]));
  }
  const found = new Map(ways.filter((way) => way.length === length).map((way) => [way.join(" "), way]));
  return [...found.values()];
}

function readings(part, units, digits) {
  const pieces = part.split(",");
  if (pieces.length > 12) return [];
  const found = [];
  for (let cuts = 0; cuts < 2 ** (pieces.length - 1); cuts++) {
    const groups = [pieces[0]];
    pieces.slice(1).forEach((piece, index) => {
      if ((cuts >> index) & 1) groups.push(piece);
      else groups[groups.length - 1] += `,${piece}`;
    });
    const values = [];
    for (const group of groups) {
      if (group.includes(",") && !/^[+-]?[1-9]\d{0,2}(,\d{3})+$/.test(group)) break;
      const value = readNumber(withoutUnit(group, units), true, digits);
      if (value === null) break;
      values.push(value);
    }
    if (values.length === groups.length) found.push(values);
  }
  return found;
}

function matrix(text, { sizes }) {
  const readable = rowTexts(text).map(rows).filter(Boolean);
  for (const [height, width] of sizes) {
    const right = readable.find((found) => found.length === height && found[0].length === width);
    if (right) return right;
    for (const found of readable) {
      const flat = found.length === 1 ? found[0] : [];
      if (flat.length === height * width) return Array.from({ length: height }, (_, row) => flat.slice(row * width, (row + 1) * width));
    }
  }
  const pointed = text.replace(/(\d),(?=\d)/g, "$1.");
  const fits = (found) => found && sizes.some(([height, width]) => found.length === height && found[0].length === width);
  if (pointed !== text && rowTexts(pointed).map(rows).some(fits)) {
    throw new AnswerError("decimal-comma", { given: shown(text), decimal: pointed }, pointed);
  }
  if (!readable.length) throw new AnswerError("no-matrix", { given: shown(text) });
  return readable[0];
}

/** Return the ways in which a text can be rows: brackets, semicolons, slashes or lines, else spaces around commas. */
function rowTexts(text) {
  const opened = text.replaceAll("\n", ";").replace(/[\])]\s*,?\s*[[(]/g, ";");
  const plain = opened.replace(/[()[\]{}]/g, " ");
  const found = plain.split(/[;/|]/).filter((row) => row.trim());
  return found.length === 1 && plain.includes(",") ? [found, plain.split(/\s+/).filter(Boolean)] : [found];
}

function rows(texts) {
  const found = [];
  for (const row of texts) {
    const values = stripped(row.trim(), " ,").split(/[,\s]+/).filter(Boolean).map((part) => readNumber(part, false));
    if (!values.length || values.length > MOST_NUMBERS || values.includes(null)) return null;
    found.push(values);
  }
  return found.length && new Set(found.map((row) => row.length)).size === 1 ? found : null;
}

function layers(text) {
  const found = stripped(text.toLowerCase(), " ,;>-").split(/[,;\s>-]+/).map((part) => {
    let plain = part.replace(/^(?:conv(?:olution)?|k|c)?(\d{1,2})(?:x\1)?(?:\/(\d))?$/, (_, kernel, stride) => `${kernel}/${stride ?? ""}`).replace(/\/$/, "");
    if (/^(?:p|p2|pool|pool2|maxpool|2x2pool)$/.test(part)) plain = "p";
    if (plain !== "p" && !/^[1-9]\d?(?:\/[1-9])?$/.test(plain)) throw new AnswerError("no-layers", { given: shown(part) });
    return plain.replace(/\/1$/, "");
  });
  if (found.length > MOST_NUMBERS) throw new AnswerError("too-many-layers", { got: found.length, most: MOST_NUMBERS });
  return found;
}
