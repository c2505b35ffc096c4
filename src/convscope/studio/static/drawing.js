/** The network as the server laid it out. */
import { made, setAll, shapeElement } from "convscope/elements";
import { watch } from "convscope/light";
import { link, loaded } from "convscope/store";
import { TEXT } from "convscope/strings";
import { select, unitLine } from "convscope/tree";

/** How many boxes stay drawn; of a larger network those in sight are. */
const KEPT = 400;
/** How much larger than it was laid out a drawing becomes in a wide pane. */
const LARGEST = 1 / 12; // rem for each of its units
const HIGHEST = 18; // rem that it takes unless the reader drags its edge

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

const NOTHING = { nodes: [], edges: [], box: [0, 0, 1, 1] };

/** Return whether a box lies within another, at least in part; both are left, top, right, bottom. */
const within = (box, view) => box[0] <= view[2] && box[2] >= view[0] && box[1] <= view[3] && box[3] >= view[1];

/** Return the box of points. @param {number[][]} points */
function boundsOf(points) {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

export function createDrawing() {
  const element = made("div", "drawing");
  /** The boxes in the document. @type {Map<any, {group: SVGElement, band: SVGElement|null, unit: any}>} */
  const shown = new Map();
  /** The connections in the document. @type {Map<any, SVGElement>} */
  const lines = new Map();
  let graph = null;
  let drawing = NOTHING;
  let zoomed = false;
  let laidOut = false;
  let root = null;
  let below = null;
  let above = null;
  /** The node of the keyboard's cursor. @type {any} */
  let cursor = null;
  /** Ids of the units that the selected value is of, from the layer outward. @type {Set<number>} */
  let chain = new Set();
  /** @type {Map<string, any>|null} */
  let lit = null;

  const valueOf = (node) => node.value ?? loaded.byId.get(node.unit)?.value ?? null;
  const isChosen = (node) => valueOf(node) !== null && (valueOf(node) === link().value || chain.has(node.unit));

  /** Begin with the drawing of another network; its boxes are drawn once it is laid out. */
  function draw() {
    element.replaceChildren();
    shown.clear();
    lines.clear();
    root = cursor = null;
    laidOut = false;
    drawing = graph?.drawing ?? NOTHING;
    if (!graph) return;
    root = shapeElement("svg", { viewBox: drawing.box.join(" "), role: "listbox", tabindex: 0, "aria-label": TEXT.drawingLabel(graph.title) }, element);
    root.style.maxWidth = `${drawing.box[2] * LARGEST}rem`;
    below = shapeElement("g", { role: "presentation" }, root);
    above = shapeElement("g", { role: "presentation" }, root);
    root.addEventListener("focus", () => { if (root.matches(":focus-visible")) moveTo(cursor); });
    root.addEventListener("keydown", onKey);
  }

  /** Return how many px a unit of the drawing takes, and where the drawing begins. */
  function place() {
    const { left, top, width } = root.getBoundingClientRect();
    const scale = width / drawing.box[2];
    return { scale, left: left - drawing.box[0] * scale, top: top - drawing.box[1] * scale };
  }

  /** Draw what is in sight and as much on each side of it, and remove the rest; of a small network all stays drawn. */
  function fill() {
    if (!root || !laidOut) return;
    const { scale, left, top } = place();
    const sight = element.getBoundingClientRect();
    const around = drawing.nodes.length > KEPT ? 1 : Infinity;
    const [wide, high] = [around * sight.width, around * sight.height];
    const view = [(sight.left - left - wide) / scale, (sight.top - top - high) / scale, (sight.right - left + wide) / scale, (sight.bottom - top + high) / scale];
    renew(lines, drawing.edges.filter((edge) => within(edge.box ??= boundsOf(edge.points), view)), drawLine, (line) => line);
    renew(shown, drawing.nodes.filter(({ x, y, w, h }) => within([x, y, x + w, y + h], view)), drawNode, ({ group }) => group);
  }

  /** Bring a map of elements to what is wanted. */
  function renew(known, wanted, make, elementOf) {
    const kept = new Set(wanted);
    for (const [one, drawn] of known) {
      if (kept.has(one)) continue;
      elementOf(drawn).remove();
      known.delete(one);
    }
    for (const one of wanted) if (!known.has(one)) known.set(one, make(one));
  }

  const drawLine = (edge) => shapeElement("path", { d: rounded(edge.points), class: edge.skip ? "edge skip" : "edge" }, below);

  /** Give the drawing the height that it takes, up to a limit. */
  function fit() {
    const takes = root?.getBoundingClientRect().height ?? 0;
    if (takes < 1) return; // not laid out yet, or not shown
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    element.style.height = `${Math.round(Math.min(takes + 0.6 * rem, Math.max(HIGHEST * rem, 0.38 * innerHeight - 14 * rem)))}px`;
    if (!laidOut) element.scrollTop = element.scrollLeft = 0;
    laidOut = true;
    const chosen = drawing.nodes.findLast(isChosen);
    if (chosen) seen(chosen);
    requestAnimationFrame(fill);
  }
  // In the next frame, when the page is laid out: what changes sizes within an observer is observed too late.
  const resized = new ResizeObserver(() => requestAnimationFrame(fit));
  new ResizeObserver(() => requestAnimationFrame(fill)).observe(element);
  element.addEventListener("scroll", fill, { passive: true });

  /** Scroll the drawing, and nothing around it, until a box is seen. */
  function seen(node) {
    if (!root || !laidOut) return;
    const { scale, left, top } = place();
    const outer = element.getBoundingClientRect();
    const [x0, y0, x1, y1] = [left + node.x * scale, top + node.y * scale, left + (node.x + node.w) * scale, top + (node.y + node.h + 11 * node.labels.length) * scale];
    if (y1 > outer.bottom) element.scrollTop += y1 - outer.bottom + 8;
    if (y0 < outer.top) element.scrollTop -= outer.top - y0 + 8;
    if (x1 > outer.right) element.scrollLeft += x1 - outer.right + 8;
    if (x0 < outer.left) element.scrollLeft -= outer.left - x0 + 8;
  }

  function drawNode(node) {
    const { x, y, w, h } = node;
    const known = loaded.byId.get(node.unit);
    // A box may stand for what is no unit of the tree: several operations, an inner sum.
    const unit = known ? { ...known, value: valueOf(node) } : { id: `box-${drawing.nodes.indexOf(node)}`, name: node.labels.join(" "), type: "", shape: null, value: valueOf(node) };
    const group = shapeElement("g", { class: node === cursor ? "node at-cursor" : "node", id: `unit-box-${unit.id}`, role: "option", "aria-selected": isChosen(node), "aria-label": unitLine(unit), "data-family": node.family }, above);
    shapeElement("title", {}, group).textContent = [unitLine(unit), ...(unit.warnings ?? []).map((i) => graph.warnings[i]?.text)].join("\n");
    if (node.count > 1) shapeElement("rect", { class: "box", x: x + 3, y: y - 3, width: w, height: h, rx: 2 }, group);
    shapeElement("rect", { class: "box", x, y, width: w, height: h, rx: 2 }, group);
    const band = unit.shape?.length === 3 && unit.shape[1] > 0 ? shapeElement("rect", { class: "band", x: x + 1.5, y, width: Math.max(1, w - 3), height: 1, rx: 1 }, group) : null;
    shapeElement("rect", { x: x - 4, y: y - 4, width: w + 8, height: h + 8, fill: "transparent" }, group);
    if (unit.warnings?.length) shapeElement("circle", { class: "flag", cx: x + w, cy: y, r: 3.4 }, group);
    node.labels.forEach((label, i) => {
      shapeElement("text", { x: x + w / 2, y: y + h + 11 + 11 * i }, group).textContent = label;
    });
    group.addEventListener("click", () => select(unit));
    const drawn = { group, band, unit };
    lightBox(node, drawn);
    return drawn;
  }

  function onKey(event) {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const order = drawing.nodes.filter(valueOf);
    if (by) moveTo(order[Math.max(0, Math.min(order.length - 1, order.indexOf(cursor) + by))]);
    else if (event.key === "Home") moveTo(order[0]);
    else if (event.key === "End") moveTo(order.at(-1));
    else if ((event.key === "Enter" || event.key === " ") && cursor) select(shown.get(cursor)?.unit);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function moveTo(node) {
    cursor = node ?? null;
    if (!cursor || !root) return;
    seen(cursor);
    fill();
    for (const [one, { group }] of shown) group.classList.toggle("at-cursor", one === cursor);
    root.setAttribute("aria-activedescendant", shown.get(cursor)?.group.id ?? "");
  }

  function lightBox(node, { group, band, unit }) {
    const box = lit && unit.value ? lit.get(unit.value) : null;
    const on = String(Boolean(box));
    if (group.dataset.lit !== on) group.dataset.lit = on;
    if (!box || !band) return;
    const height = unit.shape[1];
    const top = Math.max(0, box.y0) / height;
    const bottom = Math.min(height, box.y1 + 1) / height;
    setAll(band, { y: node.y + top * node.h, height: Math.max(1.5, (bottom - top) * node.h) });
  }

  watch((_, boxes) => {
    lit = boxes;
    for (const [node, drawn] of shown) lightBox(node, drawn);
  });

  let value = "";
  return {
    element,
    zoom() {
      zoomed = !zoomed;
      root?.classList.toggle("zoomed", zoomed);
      if (root) root.style.maxWidth = zoomed ? "none" : `${drawing.box[2] * LARGEST}rem`;
      if (root && zoomed) root.setAttribute("width", String(drawing.box[2] * 1.5));
      else root?.removeAttribute("width");
      fit();
    },
    update() {
      if (loaded.graph === graph && link().value === value) return;
      if (loaded.graph !== graph) {
        ({ graph } = loaded);
        resized.disconnect();
        draw();
        if (root) resized.observe(root);
      }
      ({ value } = link());
      chain = new Set();
      for (let unit = loaded.byValue.get(value); unit; unit = loaded.byId.get(unit.parent)) chain.add(unit.id);
      const chosen = drawing.nodes.findLast(isChosen);
      if (chosen) {
        cursor = chosen;
        seen(chosen);
      }
      for (const [node, { group }] of shown) group.setAttribute("aria-selected", String(isChosen(node)));
    },
  };
}
