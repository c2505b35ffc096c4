/** Search over the blocks of the network: by name, type, shape. */
import { html } from "lit-html";
import { loaded, show, view } from "convscope/store";
import { TEXT } from "convscope/strings";
import { familyOf, reveal, select } from "convscope/tree";
import { plural, shape } from "convscope/units";

const MOST = 60;

/** Return the units that a search finds, the best first: every word must be somewhere in name, type or shape. */
export function found(units, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return units.filter((unit) => unit.value);
  const scored = [];
  for (const unit of units) {
    const name = (unit.name || unit.label || "").toLowerCase();
    const text = `${name} ${(unit.label ?? "").toLowerCase()} ${(unit.type ?? "").toLowerCase()} ${(unit.shape ?? []).join("x")} ${(unit.shape ?? []).join("×")}`;
    if (!words.every((word) => text.includes(word))) continue;
    const score = name === words[0] ? 0 : name.startsWith(words[0]) ? 1 : name.split(/[.:]/).some((part) => part.startsWith(words[0])) ? 2 : 3;
    scored.push({ unit, score });
  }
  return scored.sort((a, b) => a.score - b.score).map(({ unit }) => unit);
}

export function searchBody() {
  const units = found(loaded.graph?.units ?? [], view.query);
  return html`<div class="choices" role="group" aria-label=${TEXT.search}>
    ${units.slice(0, MOST).map((unit) => html`<button class="option" data-family=${familyOf(unit)} @click=${() => take(unit)}>
      <span>${unit.name || unit.label}</span><span class="note number">${unit.type} · ${shape(unit.shape)}</span></button>`)}
  </div><p class="muted small" role="status">${units.length ? TEXT.foundBlocks(plural(units.length, "block"), Math.min(units.length, MOST)) : TEXT.foundNothing(view.query)}</p>`;
}

function take(unit) {
  show({ dialog: "", query: "" });
  reveal(unit);
  if (unit.value) select(unit);
  else {
    const inner = loaded.graph.units.find((other) => other.value && inside(other, unit));
    if (inner) {
      reveal(inner);
      select(inner);
    }
  }
}

function inside(unit, block) {
  for (let at = unit; at; at = loaded.byId.get(at.parent)) if (at.id === block.id) return true;
  return false;
}

