/** Keys that work anywhere in Explore, and the list of each room's keys. */
import { html } from "lit-html";
import { COLOURS } from "convscope/atlas";
import { isCommand } from "convscope/elements";
import { ORDERS, SCALES } from "convscope/state";
import { go, link, loaded, say, show, view } from "convscope/store";
import { TEXT } from "convscope/strings";
import { select } from "convscope/tree";

/** @template T @param {T[]} list @param {T} now */
const after = (list, now, by = 1) => list[(list.indexOf(now) + by + list.length) % list.length];

function otherLayer(by) {
  const units = [...loaded.byValue.values()].filter((unit) => unit.kind !== "block");
  const at = units.findIndex((unit) => unit.value === link().value);
  select(units[Math.max(0, Math.min(units.length - 1, at + by))]);
}

function focusOn(selector, pane) {
  if (view.pane !== pane) show({ pane });
  queueMicrotask(() => document.querySelector(selector)?.focus());
}

/** @type {Object<string, () => void>} */
const ACTIONS = {
  "/": () => show({ dialog: "search" }),
  "?": () => show({ dialog: "keys" }),
  n: () => show({ dialog: "model" }),
  i: () => show({ dialog: "image" }),
  c: () => go({ colours: after(COLOURS, link().colours) }, { replace: true }),
  s: () => go({ scale: after(SCALES, link().scale) }, { replace: true }),
  o: () => go({ order: after(ORDERS, link().order), page: 0 }),
  j: () => otherLayer(1),
  k: () => otherLayer(-1),
  "]": () => { if (loaded.atlas && link().page < loaded.atlas.pages - 1) go({ page: link().page + 1 }); },
  "[": () => { if (link().page > 0) go({ page: link().page - 1 }); },
  t: () => focusOn(".tree", "tree"),
  m: () => focusOn("#focus-map", "maps"),
  p: () => focusOn("#stage", "middle"),
};

export function shortcuts() {
  addEventListener("keydown", (event) => {
    const target = event.target;
    if (event.defaultPrevented || isCommand(event) || view.dialog) return;
    if (target.closest("input, textarea, select, [contenteditable]")) return;
    const asksForKeys = event.key === "?";
    if (link().room !== "explore" && !asksForKeys) return;
    if (event.key === "Escape") {
      if (view.tool) show({ tool: "" });
      else if (link().at) go({ at: null, step: null });
      else if (view.said) say("");
      return;
    }
    const act = ACTIONS[event.key];
    if (!act || !(loaded.graph || asksForKeys)) return;
    event.preventDefault();
    act();
  });
}

/** The keys of the room that is open. */
export function keysBody() {
  if (link().room !== "explore") return html`<p tabindex="0">${view.keys}</p>`;
  return html`<div class="keys-table" tabindex="0">${TEXT.keyGroups.map(([title, keys]) => html`<h3>${title}</h3>
    ${keys.map(([key, says]) => html`<div><span>${says}</span><span>${key.split(" ").map((one) => html`<kbd>${one}</kbd> `)}</span></div>`)}`)}</div>`;
}
