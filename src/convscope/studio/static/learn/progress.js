/** What the learner has mastered: kept in this browser alone, or in this page where the browser stores nothing. */

const KEY = "convscope-learn";
export const GOAL = 3; // right in a row
export const TRIES = 3;
const SEEDS_KEPT = 20;

/** `seeds`: of the last draws, which do not count again. @typedef {{streak: number, drawn: number, right: number, mastered: string, seeds: number[]}} Known */

/** @type {Map<string, Known>} */
let known = new Map();
let stores = true;

/** Read what is kept: another tab may have written it since. */
function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    const found = new Map();
    for (const [name, one] of Object.entries(kept.exercises ?? {})) {
      const { streak, drawn, right, mastered, seeds } = /** @type {any} */ (one);
      if (![streak, drawn, right].every((count) => Number.isInteger(count) && count >= 0)) continue;
      found.set(name, { streak, drawn, right, mastered: String(mastered ?? ""), seeds: Array.isArray(seeds) ? seeds : [] });
    }
    known = found;
  } catch (problem) {
    // Storage is denied, or what it holds is not ours: go on without it.
    stores = problem instanceof SyntaxError || problem instanceof TypeError;
  }
}
read();

/** Return whether the browser keeps progress after the page is closed. */
export const isStored = () => stores;

/** Return what is known of an exercise. @param {string} name @returns {Known} */
export const progressOf = (name) => known.get(name) ?? { streak: 0, drawn: 0, right: 0, mastered: "", seeds: [] };

/** Note the end of a draw. @param {string} name @param {number} seed @param {boolean} right within the tries that count @param {string} [now] */
export function note(name, seed, right, now = new Date().toISOString()) {
  if (stores) read();
  const before = progressOf(name);
  const streak = right ? before.streak + Number(!before.seeds.includes(seed)) : 0;
  known.set(name, {
    seeds: [...before.seeds.filter((kept) => kept !== seed), seed].slice(-SEEDS_KEPT),
    streak, drawn: before.drawn + 1, right: before.right + Number(right),
    mastered: before.mastered || (streak >= GOAL ? now : ""),
  });
  save();
}

/** Forget everything. */
export function forget() {
  known.clear();
  save();
}

/** Return all of it as a file says it. @param {string} statement that it is unsupervised */
export const exported = (statement) => ({
  convscope: "learn", version: 1, unsupervised: true, statement, goal: GOAL, exercises: Object.fromEntries(known),
});

function save() {
  try {
    localStorage.setItem(KEY, JSON.stringify({ version: 1, exercises: Object.fromEntries(known) }));
    stores = true;
  } catch {
    stores = false; // full or denied: this page goes on with what it holds
  }
}
