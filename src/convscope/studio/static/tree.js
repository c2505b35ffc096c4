/** The network as a tree of blocks. */
import { isCommand, made } from "convscope/elements";
import { watch } from "convscope/light";
import { go, link, loaded, show, view } from "convscope/store";
import { TEXT } from "convscope/strings";
import { shape, short } from "convscope/units";
import { VirtualList } from "convscope/virtual";

/** Return the family of a unit, which its colour is of. */
export const familyOf = (unit) => (unit.kind === "block" ? "block" : loaded.graph.families[unit.type] ?? "other");

/**
 * Return the units that are shown, in order, with what is folded left out.
 * @param {any[]} units depth-first
 * @param {Set<any>} [repeats] first units whose repeats are shown one by one
 */
export function shownUnits(units, folded, repeats = new Set()) {
  const rows = [];
  let below = Infinity;
  for (const unit of units) {
    if (unit.depth > below) continue;
    below = Infinity;
    const { repeat } = unit;
    if (repeat && repeat.first !== unit.id && !repeats.has(repeat.first)) {
      below = unit.depth;
      continue;
    }
    if (folded.has(unit.id)) below = unit.depth;
    rows.push(unit);
  }
  return rows;
}

/** Select a unit: its value's maps are shown. */
export function select(unit) {
  if (!unit?.value) return;
  if (unit.value !== link().value) go({ value: unit.value, channel: null, at: null, page: 0, step: null });
}

/** Unfold what a unit is in. */
export function reveal(unit) {
  for (let at = unit; at; at = loaded.byId.get(at.parent)) if (at.repeat && at.repeat.first !== at.id) view.repeats.add(at.repeat.first);
  let inside = unit && loaded.byId.get(unit.parent);
  while (inside) {
    view.folded.delete(inside.id);
    inside = loaded.byId.get(inside.parent);
  }
}

export function createTree() {
  const element = made("div", "tree");
  element.tabIndex = 0;
  element.setAttribute("role", "tree");
  element.setAttribute("aria-label", TEXT.treeLabel);
  let rows = [];
  let parents = [];
  let cursor = 0;
  let typed = "";
  let typing;
  /** @type {Map<string, any>|null} */
  let lit = null;
  let drawnGraph = null;
  let drawnValue = "";

  const rowHeight = () => Math.round(1.75 * parseFloat(getComputedStyle(document.documentElement).fontSize));
  const list = new VirtualList(element, { row: rowHeight(), make, fill });

  function make() {
    const row = made("div", "tree-row");
    row.setAttribute("role", "treeitem");
    row.append(...["twist", "dot", "label", "times", "warn", "shape"].map((name) => made("span", name)));
    row.firstChild.setAttribute("aria-hidden", "true"); // aria-expanded says it
    row.addEventListener("click", (event) => {
      cursor = Number(row.dataset.index);
      const unit = rows[cursor];
      if (event.target.classList.contains("times") && unit.repeat) openRepeats(unit);
      else if (event.target.classList.contains("twist") || !unit.value) toggle(unit);
      else select(unit);
      list.draw(true);
    });
    return row;
  }

  function fill(row, index) {
    const unit = rows[index];
    const [twist, , label, times, warn, sizes] = row.children;
    const isParent = parents[index];
    row.id = `unit-row-${unit.id}`;
    row.dataset.index = String(index);
    row.dataset.family = familyOf(unit);
    row.dataset.lit = String(Boolean(lit && unit.value && lit.has(unit.value)));
    row.style.height = `${list.row}px`;
    row.style.paddingLeft = `${0.25 + unit.depth * 0.8}rem`;
    row.setAttribute("aria-level", String(unit.depth + 1));
    row.setAttribute("aria-posinset", String(index + 1));
    row.setAttribute("aria-setsize", String(rows.length));
    row.setAttribute("aria-selected", String(Boolean(unit.value) && unit.value === link().value && (unit.kind !== "block" || view.folded.has(unit.id))));
    if (isParent) row.setAttribute("aria-expanded", String(!view.folded.has(unit.id)));
    else row.removeAttribute("aria-expanded");
    twist.textContent = isParent ? (view.folded.has(unit.id) ? "▸" : "▾") : "";
    label.textContent = unit.label || unit.name;
    const first = unit.repeat?.first === unit.id;
    times.textContent = first ? (view.repeats.has(unit.id) ? TEXT.foldRepeats : TEXT.times(unit.repeat.count)) : "";
    times.title = first ? TEXT.repeatsHelp : "";
    warn.textContent = unit.warnings?.length ? "!" : "";
    sizes.textContent = unit.shape ? unit.shape.join("×") : "";
    row.title = [unit.name, unit.type, unit.parameters ? TEXT.parametersOf(short(unit.parameters)) : "",
      ...(unit.warnings ?? []).map((i) => loaded.graph?.warnings[i]?.text)].filter(Boolean).join("\n");
    row.classList.toggle("at-cursor", index === cursor);
  }

  function toggle(unit, open = view.folded.has(unit.id)) {
    if (open) view.folded.delete(unit.id);
    else view.folded.add(unit.id);
    show({});
  }

  /** Show the repeats of a unit one by one, or fold them. */
  function openRepeats(unit) {
    const { first } = unit.repeat;
    if (view.repeats.has(first)) view.repeats.delete(first);
    else view.repeats.add(first);
    show({});
  }

  // A click keeps its row where it is.
  element.addEventListener("focus", () => { if (element.matches(":focus-visible")) moveTo(cursor); });
  element.addEventListener("keydown", (event) => {
    const unit = rows[cursor];
    if (!unit || isCommand(event)) return;
    const moves = ({
      ArrowDown: cursor + 1, ArrowUp: cursor - 1, Home: 0, End: rows.length - 1,
      PageDown: cursor + 15, PageUp: cursor - 15,
    });
    if (event.key in moves) moveTo(moves[event.key]);
    else if (event.key === "ArrowRight") {
      if (parents[cursor] && view.folded.has(unit.id)) toggle(unit, true);
      else if (parents[cursor]) moveTo(cursor + 1);
    } else if (event.key === "ArrowLeft") {
      if (parents[cursor] && !view.folded.has(unit.id)) toggle(unit, false);
      else if (unit.parent !== null) moveTo(rows.findIndex((row) => row.id === unit.parent));
    } else if (event.key === "Enter" || event.key === " ") {
      if (unit.value) select(unit);
      else toggle(unit);
    } else if (event.key === "*" && unit.repeat) openRepeats(unit);
    else if (/^[\w.]$/.test(event.key)) {
      typed += event.key.toLowerCase();
      clearTimeout(typing);
      typing = setTimeout(() => { typed = ""; }, 700);
      // One letter moves on to the next row that begins with it, more letters stay where they fit.
      const fits = ({ label, name }) => (label || name).toLowerCase().startsWith(typed);
      const next = rows.findIndex((row, i) => i >= cursor + (typed.length === 1 ? 1 : 0) && fits(row));
      const found = next < 0 ? rows.findIndex(fits) : next;
      if (found >= 0) moveTo(found);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function moveTo(index) {
    if (!rows.length || index < 0 && cursor === 0) return;
    cursor = Math.max(0, Math.min(rows.length - 1, index));
    list.show(cursor);
    list.draw(true);
    element.setAttribute("aria-activedescendant", `unit-row-${rows[cursor].id}`);
  }

  watch((_, boxes) => {
    lit = boxes;
    for (const row of list.shown.values()) {
      const unit = rows[Number(row.dataset.index)];
      const on = String(Boolean(boxes && unit?.value && boxes.has(unit.value)));
      if (row.dataset.lit !== on) row.dataset.lit = on;
    }
  });

  return {
    element,
    update() {
      const units = loaded.graph?.units ?? [];
      if (units === drawnGraph && link().value === drawnValue && rows.length && list.count === shownUnits(units, view.folded, view.repeats).length) {
        list.draw(true);
        return;
      }
      const fresh = link().value !== drawnValue || units !== drawnGraph;
      const unit = loaded.byValue.get(link().value);
      if (fresh && unit) reveal(unit);
      drawnGraph = units;
      drawnValue = link().value;
      list.row = rowHeight();
      rows = shownUnits(units, view.folded, view.repeats);
      const withParts = new Set(units.map((u) => u.parent));
      parents = rows.map((row) => withParts.has(row.id));
      const at = rows.findIndex((row) => unit && row.id === unit.id);
      if (fresh && at >= 0) cursor = at;
      cursor = Math.min(cursor, Math.max(0, rows.length - 1));
      list.update(rows.length);
      if (fresh && at >= 0) list.show(at);
    },
  };
}

/** Return how a unit is written in one line: its name, type and shape. */
export const unitLine = (unit) => [unit.name || unit.label, unit.type, unit.shape ? shape(unit.shape) : ""].filter(Boolean).join(", ");
