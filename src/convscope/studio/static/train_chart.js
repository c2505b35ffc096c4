/** A line chart, with its numbers in a table for screen readers, and by arrow keys. */
import { html, render } from "lit-html";
import uPlot from "uplot";
import { made } from "convscope/elements";
import { thinned } from "convscope/train_data";
import { TRAIN } from "convscope/train_strings";
import { number } from "convscope/units";

/** Rows of the table beside a chart, at most. */
const MOST_ROWS = 200;
const HEIGHT = 210;
/** Distances between ticks at whole numbers. */
const WHOLE = [1, 2, 5].flatMap((n) => Array.from({ length: 7 }, (_, i) => n * 10 ** i)).sort((a, b) => a - b);
/** Colours by their names in the style sheet, and dashes, so that curves differ in both. */
const COLOURS = ["--blue", "--orange", "--green", "--pink", "--violet", "--grey", "--sky", "--ink"];
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3], [4, 2], [12, 5], [1, 2], [6, 2, 1, 2]];

let probe = null;

/** Return a colour of the style sheet as a canvas takes it. */
function colourOf(name) {
  if (!probe) {
    probe = made("span");
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

/**
 * @typedef {{title: string, x: string, wholes?: boolean, logarithmic?: boolean, format?: (value: number|null) => string}} ChartOptions
 */

/** A chart: `element` is put into the page once, `show` gives it other numbers. */
export class Chart {
  constructor(options) {
    this.options = options;
    this.element = made("figure", "chart");
    this.plotted = made("div", "plot");
    this.plotted.tabIndex = 0;
    this.plotted.setAttribute("role", "img");
    this.plotted.addEventListener("keydown", (event) => this.key(event));
    this.caption = made("figcaption");
    this.reading = made("p", "hidden-text");
    this.reading.setAttribute("aria-live", "polite");
    this.table = made("div");
    this.element.append(this.caption, this.plotted, this.reading, this.table);
    this.plot = null;
    this.names = [];
    /** @type {(number|null)[][]} */
    this.data = [[]];
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(this.element);
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.recolour = () => this.plot?.redraw(false, true);
    this.dark.addEventListener("change", this.recolour);
    this.theme = new MutationObserver(this.recolour);
    this.theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  }

  /** Show other numbers: places first, then a list for each name. @param {string[]} names @param {(number|null)[][]} data */
  show(names, data) {
    const { title } = this.options;
    this.data = data;
    this.caption.textContent = title;
    this.plotted.setAttribute("aria-label", TRAIN.chart.summary(title, data[0].length));
    if (!data[0].length) {
      this.plot?.destroy();
      this.plot = null;
      this.plotted.replaceChildren(made("p", "empty small", TRAIN.chart.none));
    } else if (!this.plot || names.join("\n") !== this.names.join("\n")) {
      this.plot?.destroy();
      this.plotted.replaceChildren();
      this.names = names;
      this.plot = new uPlot(this.settings(names), data, this.plotted);
    } else this.plot.setData(data);
    this.names = names;
    this.tell();
  }

  tell() {
    const { title, x } = this.options;
    const rows = thinned(this.data[0].map((_, i) => i), MOST_ROWS);
    const note = rows.length < this.data[0].length ? `, ${TRAIN.chart.thinned(rows.length, this.data[0].length)}` : "";
    render(html`<table class="hidden-text"><caption>${title}${note}</caption>
      <thead><tr><th scope="col">${x}</th>${this.names.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
      <tbody>${rows.map((i) => html`<tr><th scope="row">${this.place(i)}</th>${this.names.map((_, n) => html`<td>${this.text(n, i)}</td>`)}</tr>`)}</tbody></table>`, this.table);
  }

  place(i) {
    return plain(this.data[0][i]);
  }

  text(n, i) {
    return (this.options.format ?? plain)(this.data[n + 1]?.[i] ?? null);
  }

  settings(names) {
    const { x, wholes = false, logarithmic = false, format = plain } = this.options;
    const axis = { stroke: () => colourOf("--muted"), grid: { stroke: () => colourOf("--line"), width: 1 }, ticks: { stroke: () => colourOf("--faint"), width: 1 }, font: "11px system-ui, sans-serif" };
    return {
      width: Math.max(200, this.element.clientWidth || 320), height: HEIGHT,
      cursor: { y: false, drag: { x: false, y: false } },
      // Beside the names stand the newest numbers unless a cursor is on the chart.
      hooks: { setCursor: [(plot) => { if (plot.cursor.left < 0) plot.setLegend({ idx: this.data[0].length - 1 }); }] },
      scales: { x: { time: false }, y: logarithmic ? { distr: 3, log: 10 } : {} },
      axes: [
        { ...axis, label: x, labelSize: 18, labelFont: axis.font, size: 30, ...(wholes ? { incrs: WHOLE } : {}) },
        { ...axis, size: 58, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : logarithmic ? power(tick) : format(tick))) },
      ],
      series: [
        { label: x, value: (_, value) => plain(value) },
        ...names.map((label, i) => ({
          label, stroke: () => colourOf(COLOURS[i % COLOURS.length]), width: 1.8, dash: DASHES[i % DASHES.length], spanGaps: true,
          points: { show: this.data[0].length < 3, size: 5 },
          value: (_, value) => (value === null ? "–" : format(value)),
        })),
      ],
    };
  }

  fit() {
    const width = Math.floor(this.element.clientWidth);
    if (this.plot && width > 0 && Math.abs(width - this.plot.width) > 1) this.plot.setSize({ width, height: HEIGHT });
  }

  /** Move the cursor by a key, and read the numbers out. */
  key(event) {
    const count = this.data[0].length;
    const at = this.plot?.cursor.idx ?? null;
    const to = { ArrowRight: at === null ? 0 : at + 1, ArrowLeft: at === null ? count - 1 : at - 1, Home: 0, End: count - 1 }[event.key];
    if (to === undefined || !this.plot || !count) return;
    event.preventDefault();
    const i = Math.max(0, Math.min(count - 1, to));
    this.plot.setCursor({ left: this.plot.valToPos((this.data[0][i]), "x"), top: 0 });
    this.reading.textContent = [`${this.options.x} ${this.place(i)}`, ...this.names.map((name, n) => `${name} ${this.text(n, i)}`)].join(", ");
  }

  close() {
    this.observer.disconnect();
    this.theme.disconnect();
    this.dark.removeEventListener("change", this.recolour);
    this.plot?.destroy();
    this.plot = null;
  }
}

const plain = (value) => number(value, 4);

/** Return a tick of a scale of powers of ten; "" between two powers. */
function power(tick) {
  const exponent = Math.log10(tick);
  return Math.abs(exponent - Math.round(exponent)) < 1e-9 ? number(tick, 1) : "";
}
