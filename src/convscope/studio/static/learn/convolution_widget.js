/** Chapter 2: a kernel on numbers, a picture, a drawing or the camera, each cell written out; in time; and learned. */
import { html } from "lit-html";
import { createCausal } from "convscope/learn/causal_part";
import { segments } from "convscope/learn/controls";
import { createLearned } from "convscope/learn/learned_part";
import { createSliding } from "convscope/learn/sliding_part";

const MODES = ["correlation", "true", "causal", "learn"];

/** @param {any} room as `chapter.js` gives it */
export function create(room) {
  const { texts, changed } = room;
  let mode = "correlation";
  /** @type {any} */
  let parts = null;
  /** @type {any} */
  let waiting = null; // settings that came before the numbers
  let asked = false;

  function ask() {
    if (asked) return;
    asked = true;
    room.record("edge-images").then((found) => {
      const sliding = createSliding(room, found);
      parts = { correlation: sliding, true: sliding, causal: createCausal(room, found), learn: createLearned(room) };
      if (waiting) set(waiting);
      changed();
    }, () => { asked = false; });
  }

  function set(settings) {
    if (!parts) {
      waiting = settings;
      return;
    }
    if (MODES.includes(settings.mode)) mode = settings.mode;
    parts[mode].set({ ...settings, turned: mode === "true" });
    changed();
  }

  function choose(to) {
    parts[mode].pause();
    mode = to;
    parts[to].set({ turned: mode === "true" });
    changed();
  }

  const task = (id) => (parts ? parts[id === "learned" ? "learn" : "correlation"].task(id, mode) : { done: false });

  function view() {
    ask();
    if (!parts) return room.waiting();
    return html`${segments({ label: texts.mode, value: mode, options: MODES.map((each) => [each, texts[each]]), change: choose })}${parts[mode].view()}`;
  }

  function close() {
    for (const part of new Set(Object.values(parts ?? {}))) part.close();
  }

  return { view, set, task, close };
}
