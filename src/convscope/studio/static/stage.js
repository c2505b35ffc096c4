/** The image as the network is given it, with what is lit, an attribution and a cursor. */
import { html, nothing, render } from "lit-html";
import * as api from "convscope/api";
import { colourTable, paintNumbers } from "convscope/atlas";
import { isCommand, made, setAll, shapeElement } from "convscope/elements";
import { cellAt, movedCell } from "convscope/focus";
import { boxOfCell, light, register, watch } from "convscope/light";
import { interventionText } from "convscope/state";
import { ready, sayFailed } from "convscope/loading";
import { changed, go, link, loaded, show, view } from "convscope/store";
import { TEXT } from "convscope/strings";
import { number, percent, range } from "convscope/units";

const ON_IMAGE = new Set(["shift", "rotate", "blur", "crop", "occlude"]);

/**
 * Put an image with the changes that are made to it into an element, which is returned; nothing is fetched twice.
 * @param {HTMLImageElement} element @param {string} [part] of the page
 */
export function imageInto(element, model, image, interventions, part = "icon") {
  const changes = interventions.filter((change) => ON_IMAGE.has(change.op)).map(interventionText).join(";");
  // What a network of signals, volumes or other channels is given is no picture: the image is shown as it is.
  const [channels, ...sizes] = loaded.graph?.input?.slice(-4) ?? [];
  const of = sizes.length === 2 && (channels === 1 || channels === 3) ? model : "";
  const key = [of, image, changes].join("\n");
  const run = loaded.run?.run ?? "";
  // What failed is asked for again beside another run, as after a restart of the compute process.
  if ((element.dataset.of === key && (element.dataset.failed ?? run) === run) || !image) return element;
  element.dataset.of = key;
  delete element.dataset.failed;
  api.picture(image, of, changes, part).then(
    (address) => { if (element.dataset.of === key) element.src = address; },
    (problem) => {
      if (element.dataset.of === key) element.dataset.failed = problem.kind === "stopped" ? "stopped" : run;
      // Of an image that is gone the run says so, and offers the samples.
      if (part === "" && !["stopped", "gone"].includes(problem.kind)) sayFailed(problem, () => { element.dataset.failed = "again"; changed(); });
    },
  );
  return element;
}

export function createStage() {
  const element = made("section");
  const stage = made("div", "stage");
  stage.id = "stage";
  stage.tabIndex = 0;
  stage.setAttribute("role", "application");
  stage.setAttribute("aria-roledescription", TEXT.imageWithCursor);
  const image = made("img");
  image.draggable = false;
  const heat = made("canvas");
  const holes = made("canvas");
  const lit = shapeElement("svg", { class: "lit", preserveAspectRatio: "none", "aria-hidden": "true" });
  const veil = shapeElement("path", { class: "veil" }, lit);
  const halo = shapeElement("rect", { class: "halo" }, lit);
  const edge = shapeElement("rect", { class: "edge-line" }, lit);
  const handle = shapeElement("rect", { class: "handle", visibility: "hidden" }, lit);
  stage.append(image, heat, holes, lit);
  const line = made("p", "stage-line");
  line.setAttribute("aria-live", "polite");
  const tools = made("div", "stage-tools");
  const extra = made("div");
  element.append(stage, line, tools, extra);
  let cursor = [0, 0];
  /** @type {[number, number]|null} */
  let dragFrom = null;
  let mask = null;

  const sizes = () => {
    const [, height = 1, width = 1] = loaded.graph?.input?.slice(-3) ?? [];
    return { height, width };
  };

  stage.addEventListener("pointermove", (event) => {
    const { height, width } = sizes();
    const [y, x] = cellAt(event, stage, height, width);
    if (dragFrom) dragged([y, x]);
    else if (!view.tool) light({ kind: "pixel", y, x });
  });
  stage.addEventListener("pointerleave", () => light(null));
  stage.addEventListener("pointerdown", (event) => {
    if (!view.tool) return;
    const { height, width } = sizes();
    dragFrom = cellAt(event, stage, height, width);
    stage.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  stage.addEventListener("pointerup", (event) => {
    const op = view.tool; // "" where Escape has ended it
    if (!dragFrom || !op) return;
    const { height, width } = sizes();
    const box = boxOf(dragFrom, cellAt(event, stage, height, width));
    show({ tool: "" });
    go({ interventions: [...link().interventions, { op, box }] });
  });
  stage.addEventListener("lostpointercapture", () => {
    dragFrom = null;
    handle.setAttribute("visibility", "hidden");
  });
  stage.addEventListener("focus", () => {
    if (!stage.matches(":focus-visible")) return;
    cursor = [Math.floor(sizes().height / 2), Math.floor(sizes().width / 2)];
    light({ kind: "pixel", y: cursor[0], x: cursor[1] });
  });
  stage.addEventListener("blur", () => light(null));
  stage.addEventListener("keydown", (event) => {
    const { height, width } = sizes();
    if (isCommand(event)) return;
    const to = movedCell(event, cursor, height, width);
    if (!to) return;
    cursor = to;
    light({ kind: "pixel", y: to[0], x: to[1] });
    event.preventDefault();
    event.stopPropagation();
  });

  function dragged(to) {
    const [y0, x0, y1, x1] = boxOf(dragFrom, to);
    setAll(handle, { x: x0, y: y0, width: x1 - x0, height: y1 - y0, visibility: "visible" });
  }

  register({
    value: "input",
    light(box, now) {
      const { height, width } = sizes();
      const pixel = now?.kind === "pixel" ? boxOfCell(now) : null;
      const shown = box ?? pixel;
      lit.style.visibility = shown ? "visible" : "hidden";
      if (!shown) return;
      const y0 = Math.max(0, shown.y0), x0 = Math.max(0, shown.x0);
      const y1 = Math.min(height, shown.y1 + 1), x1 = Math.min(width, shown.x1 + 1);
      veil.setAttribute("d", `M0 0H${width}V${height}H0ZM${x0} ${y0}H${x1}V${y1}H${x0}Z`);
      for (const rect of [halo, edge]) setAll(rect, { x: x0, y: y0, width: Math.max(0, x1 - x0), height: Math.max(0, y1 - y0) });
      lit.setAttribute("data-hull", String(shown.hull));
    },
    mask(found) {
      mask = found;
      paintMask();
      drawTools();
    },
  });

  /** Paint what the exact mask says: holes darkened, or effective weights in colour. */
  function paintMask() {
    const { height, width } = sizes();
    holes.style.visibility = mask ? "visible" : "hidden";
    if (!mask || !mask.height) return;
    if (!mask.header.hull) lit.setAttribute("data-hull", "false");
    if (holes.width !== width) holes.width = width;
    if (holes.height !== height) holes.height = height;
    const context = holes.getContext("2d");
    if (!context) return;
    context.clearRect(0, 0, width, height);
    const picture = context.createImageData(mask.width, mask.height);
    const pixels = new Uint32Array(picture.data.buffer);
    const { uses, weights } = mask;
    let most = 0;
    for (const weight of weights) most = Math.max(most, Math.abs(weight));
    const colours = colourTable("diverging");
    const coloured = view.weights && weights.length === pixels.length && most > 0;
    for (let i = 0; i < pixels.length; i += 1) {
      if (coloured && uses[i] !== 0) pixels[i] = ((colours[Math.round(127.5 + (127.5 * weights[i]) / most)] & 0xffffff) | (225 << 24)) >>> 0;
      else if (uses[i] === 0) pixels[i] = 0x940e0906;
    }
    context.putImageData(picture, mask.box[1], mask.box[0]);
  }

  /** What the exact mask says, and whether its weights are shown. */
  function drawTools() {
    render(html`${mask ? html`<span>${mask.header.hull ? TEXT.hullOnly : TEXT.exactPixels(mask.header.pixels, mask.header.holes)}</span>` : nothing}
      ${link().at || mask ? html`<label title=${TEXT.weightsHelp}><input type="checkbox" .checked=${view.weights} @change=${(e) => { view.weights = e.target.checked; paintMask(); }}>${TEXT.weights}</label>` : nothing}`, tools);
  }

  watch((now, boxes) => write(now, boxes));

  /** Say in words what is lit. */
  function write(now, boxes) {
    if (!now) {
      render(html`${TEXT.hoverImage}`, line);
      return;
    }
    if (now.kind === "pixel") {
      const reached = boxes ? [...boxes.values()].filter((b) => b.value !== "input") : [];
      const own = boxes?.get(link().value);
      render(html`<strong>${TEXT.pixelAt(now.y, now.x)}</strong> ${boxes ? TEXT.reaches(reached.length) : nothing}${own ? TEXT.reachesHere(link().value, own.y1 - own.y0 + 1, own.x1 - own.x0 + 1) : nothing}`, line);
      return;
    }
    const box = boxes?.get("input");
    const { height, width } = sizes();
    let reads = boxes ? TEXT.readsNothing : TEXT.tablesLoading;
    if (box) {
      const [y0, x0, y1, x1] = [Math.max(0, box.y0), Math.max(0, box.x0), Math.min(height - 1, box.y1), Math.min(width - 1, box.x1)];
      const status = box.status && box.status !== "exact" ? ` (${box.status})` : "";
      reads = html`${TEXT.readsBox(range(y0, y1), range(x0, x1))}
        <span class="number">${y1 - y0 + 1} × ${x1 - x0 + 1}</span>${box.hull ? TEXT.hullOnly : status}`;
    }
    render(html`<strong>${TEXT.cellOf(now.c, now.y, now.x, now.value)}</strong> ${reads}`, line);
  }

  return {
    element,
    update() {
      const at = link();
      const { graph, run } = loaded;
      if (!graph) {
        stage.hidden = true;
        return;
      }
      stage.hidden = false;
      const { height, width } = sizes();
      stage.style.aspectRatio = `${width} / ${height}`;
      lit.setAttribute("viewBox", `0 0 ${width} ${height}`);
      const title = loaded.session?.images?.find((i) => i.key === at.image)?.title ?? view.imageTitles?.get(at.image) ?? at.image;
      image.alt = TEXT.imageAlt(title);
      stage.setAttribute("aria-label", TEXT.imageLabel(title, height, width));
      if (at.image && ready()) imageInto(image, at.model, at.image, at.interventions, "");
      stage.style.cursor = view.tool ? "crosshair" : "";
      paintHeat(heat, height, width);
      paintMask();
      drawTools();
      render(prediction(run), extra);
    },
  };
}

/** Paint the attribution over the image. */
function paintHeat(canvas, height, width) {
  const found = loaded.attribution?.map;
  canvas.style.visibility = found && view.overlay && link().attribution ? "visible" : "hidden";
  if (!found || found.numbers.length !== height * width) return;
  const end = Math.max(Math.abs(found.lo), Math.abs(found.hi)) || 1;
  const signed = found.lo < 0;
  const scale = signed ? { name: "diverging", low: -end, high: end } : { name: "magma", low: 0, high: end };
  paintNumbers(canvas, found.numbers, height, width, scale, (share) => view.opacity * (signed ? Math.abs(2 * share - 1) ** 0.7 : share ** 0.7));
}

/** A class of a prediction: a bar, its name and its probability. */
export const entryParts = ({ name, probability }) => html`<span class="meter" .style=${`width:${Math.max(0, Math.min(100, 100 * Number(probability) || 0))}%`}></span><span class="name">${name}</span><span class="number">${percent(Number(probability))}</span>`;

/** The prediction: classes by probability; a click explains a class. */
function prediction(run) {
  const found = run?.prediction;
  if (!found) return nothing;
  const top = found.top ?? [];
  if (!top.length) return html`<p class="muted small">${found.note ?? ""}</p>`;
  return html`<ol class="prediction" aria-label=${TEXT.prediction}>
    ${top.slice(0, 5).map((entry) => html`<li><button aria-pressed=${String(entry.class === link().target)} title=${TEXT.explainClass} @click=${() => go({ target: entry.class === link().target ? null : entry.class, attribution: link().attribution || "grad-cam" })}>${entryParts(entry)}</button></li>`)}
  </ol>${found.note ? html`<p class="muted small">${found.note}</p>` : nothing}`;
}

const boxOf = (a, b) => [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]) + 1, Math.max(a[1], b[1]) + 1];

