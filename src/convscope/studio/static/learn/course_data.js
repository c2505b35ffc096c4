/** What the server, or a copy of the course without one, answers about the course. */
import * as api from "convscope/api";

/** @type {Map<string, Promise<any>>} */
const kept = new Map();

function once(path) {
  const found = kept.get(path) ?? api.request(path);
  kept.set(path, found);
  found.catch(() => kept.delete(path));
  return found;
}

/** The chapters and all texts. */
export const course = () => once("/api/learn/course");

/** An exercise with the numbers of a seed. @param {string} name @param {number} seed */
export const exercise = (name, seed) => once(`/api/learn/exercise/${encodeURIComponent(name)}?seed=${seed}`);

/** A widget's numbers; settings in the order of their names, so that one answer has one path. @param {string} name @param {Object<string, string|number>} [settings] */
export function record(name, settings = {}) {
  const pairs = Object.keys(settings).sort().map((key) => `${key}=${encodeURIComponent(settings[key])}`);
  return once(`/api/learn/record/${encodeURIComponent(name)}${pairs.length ? `?${pairs.join("&")}` : ""}`);
}
