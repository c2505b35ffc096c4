/** The network as the server laid it out: boxes as high as their maps, connections, skips as arcs. */
import { made, shapeElement } from "convscope/elements";
import { watch } from "convscope/light";
import { link, loaded } from "convscope/store";
import { TEXT } from "convscope/strings";
import { familyOf, select, unitLine } from "convscope/tree";

/** How much larger than it was laid out a drawing becomes in a wide pane. */
const LARGEST = 1 / 12; // rem for each of its units
const HIGHEST = 18; // rem that it takes unless the reader drags its edge

/** Return what a drawing takes, with a margin: left, top, width, height; what stands around its boxes is left out. @param {any} drawing */
function extent({ nodes, edges }) {
  const xs = [...nodes.flatMap((n) => [n.x - 16, n.x + n.w + 16]), ...edges.flatMap((e) => e.points.map((p) => p[0]))];
  const ys = [...nodes.flatMap((n) => [n.y - 8, n.y + n.h + 8 + 11 * (n.labels?.length ?? 0)]), ...edges.flatMap((e) => e.points.map((p) => p[1]))];
  const least = (list) => list.reduce((a, b) => Math.min(a, b), Infinity), most = (list) => list.reduce((a, b) => Math.max(a, b), -Infinity);
  return [least(xs) - 4, least(ys) - 4, most(xs) - least(xs) + 8, most(ys) - least(ys) + 8];
}

/** Return the path through points, its corners rounded. @param {number[][]} points @param {number} [most] largest radius */
export function rounded(points, most = 6) {
  if (!points.length) return "";
  const text = [`M${points[0][0]} ${points[0][1]}`];
  for (let i = 1; i < points.length - 1; i += 1) {
    const [a, b, c] = [points[i - 1], points[i], points[i + 1]];
    const radius = Math.min(most, Math.hypot(a[0] - b[0], a[1] - b[1]) / 2, Math.hypot(c[0] - b[0], c[1] - b[1]) / 2);
    const toward = (p) => {
      const length = Math.hypot(p[0] - b[0], p[1] - b[1]) || 1;
      return `${(b[0] + ((p[0] - b[0]) * radius) / length).toFixed(1)} ${(b[1] + ((p[1] - b[1]) * radius) / length).toFixed(1)}`;
    };
    text.push(`L${toward(a)}Q${b[0]} ${b[1]} ${toward(c)}`);
  }
  const end = points[points.length - 1];
  text.push(`L${end[0]} ${end[1]}`);
  return text.join("");
}

export function createDrawing() {
  const element = made("div", "drawing");
  /** @type {Map<any, {group: SVGElement, band: SVGElement|null, node: any, unit: any}>} */
  const nodes = new Map();
  let drawn = null;
  let zoomed = false;
  let width = 0;
  /** @type {SVGElement|null} */
  let root = null;
  let cursor = null;
  let order = [];

  function draw() {
    element.replaceChildren();
    element.scrollTop = element.scrollLeft = 0;
    nodes.clear();
    const { drawing, title } = loaded.graph ?? {};
    if (!drawing) return;
    const [left, top, wide, high] = extent(drawing);
    width = wide;
    root = shapeElement("svg", { viewBox: `${left} ${top} ${wide} ${high}`, role: "listbox", tabindex: 0, "aria-label": TEXT.drawingLabel(title) }, element);
    root.style.maxWidth = `${wide * LARGEST}rem`;
    for (const edge of drawing.edges) {
      shapeElement("path", { d: rounded(edge.points), class: edge.skip ? "edge skip" : "edge" }, root);
    }
    for (const node of drawing.nodes) {
      const known = loaded.byId.get(node.unit);
      // A box may stand for what is no unit of the tree: several operations, an inner sum.
      const unit = { id: `box-${nodes.size}`, name: node.labels?.join(" ") ?? "", type: "", shape: null, ...known, value: node.value ?? known?.value ?? null };
      nodes.set(node, { ...drawNode(node, unit), node, unit });
    }
    order = [...nodes.values()].filter(({ unit }) => unit.value);
    root.addEventListener("keydown", (event) => onKey(event));
  }

  /** Give the drawing the height that it takes, up to a limit. */
  function fit() {
    const takes = root?.getBoundingClientRect().height ?? 0;
    if (takes < 1) return; // not laid out yet, or not shown
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    element.style.height = `${Math.round(Math.min(takes + 0.6 * rem, Math.max(HIGHEST * rem, 0.38 * innerHeight - 14 * rem)))}px`;
    const chosen = [...nodes.values()].find(({ group }) => group.getAttribute("aria-selected") === "true");
    if (chosen) seen(chosen.group);
  }
  const laidOut = new ResizeObserver(fit);

  /** Scroll the drawing, and nothing around it, until a box is seen. @param {Element} group */
  function seen(group) {
    const [outer, inner] = [element.getBoundingClientRect(), group.getBoundingClientRect()];
    if (inner.bottom > outer.bottom) element.scrollTop += inner.bottom - outer.bottom + 8;
    if (inner.top < outer.top) element.scrollTop -= outer.top - inner.top + 8;
    if (inner.right > outer.right) element.scrollLeft += inner.right - outer.right + 8;
    if (inner.left < outer.left) element.scrollLeft -= outer.left - inner.left + 8;
  }

  function drawNode(node, unit) {
    const { x, y, w, h } = node;
    const group = shapeElement("g", { class: "node", id: `unit-box-${unit.id}`, role: "option", "aria-selected": "false", "aria-label": unitLine(unit), "data-family": node.family ?? familyOf(unit) }, root);
    shapeElement("title", {}, group).textContent = [unitLine(unit), ...(unit.warnings ?? []).map((i) => loaded.graph.warnings[i]?.text)].join("\n");
    if (node.count > 1) shapeElement("rect", { class: "box", x: x + 3, y: y - 3, width: w, height: h, rx: 2 }, group);
    shapeElement("rect", { class: "box", x, y, width: w, height: h, rx: 2 }, group);
    const band = unit.shape?.length === 3 && unit.shape[1] > 0 ? shapeElement("rect", { class: "band", x: x + 1.5, y, width: Math.max(1, w - 3), height: 1, rx: 1 }, group) : null;
    // A target that is easy to hit.
    shapeElement("rect", { x: x - 4, y: y - 4, width: w + 8, height: h + 8, fill: "transparent" }, group);
    if (unit.warnings?.length) shapeElement("circle", { class: "flag", cx: x + w, cy: y, r: 3.4 }, group);
    const labels = node.labels ?? (node.label ? [node.label] : []);
    labels.forEach((label, i) => {
      shapeElement("text", { x: x + w / 2, y: y + h + 11 + 11 * i }, group).textContent = label;
    });
    group.addEventListener("click", () => select(unit));
    return { group, band };
  }

  function onKey(event) {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const at = order.findIndex((entry) => entry.unit === cursor);
    if (by) moveTo(Math.max(0, Math.min(order.length - 1, at + by)));
    else if (event.key === "Home") moveTo(0);
    else if (event.key === "End") moveTo(order.length - 1);
    else if ((event.key === "Enter" || event.key === " ") && cursor) select(cursor);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function moveTo(index) {
    cursor = order[index]?.unit;
    if (!cursor || !root) return;
    for (const { group, unit } of order) group.classList.toggle("at-cursor", unit === cursor);
    root.setAttribute("aria-activedescendant", `unit-box-${cursor.id}`);
    seen(order[index].group);
  }

  watch((_, boxes) => {
    for (const { group, band, node, unit } of nodes.values()) {
      const box = boxes && unit.value ? boxes.get(unit.value) : null;
      const on = String(Boolean(box));
      if (group.dataset.lit !== on) group.dataset.lit = on;
      if (!box || !band) continue;
      const height = unit.shape[1];
      const top = Math.max(0, box.y0) / height;
      const bottom = Math.min(height, box.y1 + 1) / height;
      band.setAttribute("y", String(node.y + top * node.h));
      band.setAttribute("height", String(Math.max(1.5, (bottom - top) * node.h)));
    }
  });

  return {
    element,
    zoom() {
      zoomed = !zoomed;
      root?.classList.toggle("zoomed", zoomed);
      if (root) root.style.maxWidth = zoomed ? "none" : `${width * LARGEST}rem`;
      fit();
      if (root && zoomed) root.setAttribute("width", String(width * 1.5));
      else root?.removeAttribute("width");
    },
    update() {
      if (loaded.graph !== drawn) {
        drawn = loaded.graph;
        laidOut.disconnect();
        draw();
        if (root) laidOut.observe(root);
      }
      const { value } = link();
      for (const { group, unit } of nodes.values()) {
        const on = String(Boolean(unit.value) && (unit.value === value || holds(unit, value)));
        if (group.getAttribute("aria-selected") !== on) {
          group.setAttribute("aria-selected", on);
          if (on === "true") {
            cursor = unit;
            seen(group);
          }
        }
      }
    },
  };
}

/** Return whether a unit of the drawing, a block, holds the unit of a value. @param {any} block @param {string} value */
function holds(block, value) {
  let unit = loaded.byValue.get(value);
  while (unit) {
    if (unit.id === block.id) return true;
    unit = loaded.byId.get(unit.parent);
  }
  return false;
}
