// Reads cases from stdin, and writes what the modules of the room Learn make of each.
import { readFileSync } from "node:fs";
import "./bare_names.mjs";

const arithmetic = await import("convscope/learn/arithmetic");
const { filled } = await import("convscope/learn/fill");
const { marked } = await import("convscope/learn/marking");

const ANSWERS = {
  /** @param {{name: string, given: any[]}[]} cases functions of the arithmetic, and what they are given */
  arithmetic: (cases) => cases.map(({ name, given }) => arithmetic[name](...given)),
  /** @param {{exercises: any[], words: any, answers: [number, string][]}} cases answers to exercises by their number */
  marking: ({ exercises, words, answers }) => answers.map(([number, text]) => {
    try {
      const { mark, name, lines } = marked(text, exercises[number], words);
      return { mark, name, lines };
    } catch (error) {
      if (error.constructor.name !== "AnswerError") throw error;
      return { mark: "unread", line: filled(words[error.key], error.values), suggestion: error.suggestion };
    }
  }),
};

process.stdout.write(JSON.stringify(ANSWERS[process.argv[2]](JSON.parse(readFileSync(0, "utf8")))));
