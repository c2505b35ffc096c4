/** One chapter: its steps, its widget, what is to be found out, its exercises, the learner's own network. */
import { html, nothing, render } from "lit-html";
import { made } from "convscope/elements";
import { createExercise } from "convscope/learn/exercise";
import { createOwn } from "convscope/learn/own";
import { filled, numberText } from "convscope/learn/fill";
import { prose } from "convscope/learn/prose";
import { formatState } from "convscope/state";

/** The modules of the widgets, each loaded when its chapter is opened. @type {Object<string, () => Promise<any>>} */
const WIDGETS = {
  convolution: () => import("convscope/learn/convolution_widget"),
  dense: () => import("convscope/learn/dense_widget"),
  padding: () => import("convscope/learn/padding_widget"),
  volumes: () => import("convscope/learn/volumes_widget"),
  pooling: () => import("convscope/learn/pooling_widget"),
  fields: () => import("convscope/learn/fields_widget"),
  history: () => import("convscope/learn/history_widget"),
  step: () => import("convscope/learn/step_widget"),
};

/** @param {{chapter: any, course: any, room: any}} how `room`: what a widget is given, without its texts */
export function createChapter({ chapter, course, room }) {
  const { words } = course;
  const { changed, go, link, say } = room;
  const body = made("div", "widget-body"); // drawn by itself: a slider is answered without the rest of the page
  let scheduled = false;
  /** @type {any} */
  let widget = null;
  let problem = ""; // why there is no widget
  /** What a part of the widget waits for, and why it is not there: not asked for again until the reader says so. @type {Map<string, Error>} */
  const missing = new Map();
  let pending = 0; // records that are on their way
  let closed = false;
  let applied = 0; // the step whose settings the widget has
  let reached = 1; // the step that was scrolled to, or whose button was pressed
  /** @type {Map<string, {guess: string, done: boolean}>} */
  const tasks = new Map(chapter.tasks.map((task) => [task.id, { guess: "", done: false }]));
  const exercises = chapter.exercises.map(({ name }) => createExercise({ name, seed: link().seed, course, changed, say }));
  /** @type {any[]} made when the block is opened */
  let slips = [];
  const own = createOwn({ chapter, words, changed });

  /** Say why the widget is not shown. */
  function failed(error) {
    problem = error.message;
    widgetChanged();
  }

  /** Ask for a record as the room does; the chapter says where none comes, beside what the widget shows without it. */
  function record(...asked) {
    const key = JSON.stringify(asked);
    if (missing.has(key)) return Promise.reject(missing.get(key));
    pending += 1;
    return room.record(...asked).then((found) => {
      pending -= 1;
      return found;
    }, (error) => {
      pending -= 1;
      missing.set(key, error);
      widgetChanged();
      throw error;
    });
  }

  /** What is drawn in the place of a record that is not there: nothing where none is on its way, as a line above says why. */
  const waiting = () => (missing.size && !pending ? nothing : html`<p class="empty"><span class="spinner"></span><span class="hidden-text">${words.loading}</span></p>`);

  /** Which parts of the widget are not there, in one line. */
  function missed() {
    if (!missing.size) return nothing;
    const said = [...new Set([...missing.values()].map(({ message }) => message))].join("; ");
    const again = () => { missing.clear(); widgetChanged(); };
    return html`<p class="problem" role="alert">${filled(words["part-failed"], { problem: said })} <button @click=${again}>${words.exercise.again}</button></p>`;
  }

  function load() {
    [problem, applied] = ["", 0];
    missing.clear();
    WIDGETS[chapter.widget.name]().then((module) => {
      if (closed) return;
      widget?.close?.();
      widget = module.create({ ...room, record, waiting, optional: room, changed: widgetChanged, texts: chapter.widget.texts, words });
      widgetChanged();
    }, failed);
  }

  function widgetChanged() {
    if (scheduled) return;
    scheduled = true;
    queueMicrotask(() => {
      scheduled = false;
      if (!closed) drawWidget();
    });
  }

  const stepNow = () => Math.min(Math.max(1, link().step ?? 1), chapter.steps.length);

  /** Give the widget what the link's step sets, once. */
  function follow() {
    const step = stepNow();
    if (!widget || applied === step) return;
    applied = step;
    const { set } = chapter.steps[step - 1];
    if (set) widget.set(set);
  }

  /** Scroll to the step that a link names. @param {number} step from 1 */
  function reach(step) {
    if (reached === step) return;
    reached = step;
    queueMicrotask(() => body.closest("article")?.querySelector(`[data-step="${step}"]`)?.scrollIntoView({ block: "start" }));
  }

  function drawWidget() {
    follow();
    render(html`${problem ? html`<p class="problem" role="alert">${problem}</p><button @click=${load}>${words.exercise.again}</button>` : widget ? html`${missed()}${widget.view()}` : html`<p class="muted">${words.loading}</p>`}
      ${chapter.tasks.length ? html`<div class="tasks"><h3>${words.tasks}</h3><ul>${chapter.tasks.map(taskView)}</ul></div>` : nothing}`, body);
  }

  /** @param {number} step from 1 */
  function show(step) {
    applied = 0;
    reached = Math.min(Math.max(1, step), chapter.steps.length);
    go({ step: reached }, { replace: true });
    changed();
    // In a narrow window the widget is below the steps.
    const { top, bottom } = body.getBoundingClientRect();
    if (bottom < 120 || top > innerHeight - 120) body.scrollIntoView({ block: "start" });
  }

  function stepView(step, index) {
    const current = stepNow() === index + 1;
    return html`<li class="step" data-current=${String(current)} data-step=${index + 1}><h3><span class="step-number">${index + 1}</span> ${step.title}</h3>
      ${step.text.map((paragraph) => html`<p>${prose(paragraph)}</p>`)}
      ${step.set ? html`<button class="show-step" aria-pressed=${String(current)} aria-label=${filled(words["show-this-step"], { number: index + 1, title: step.title })} @click=${() => show(index + 1)}>${words["show-step"]}</button>` : nothing}</li>`;
  }

  function taskView(task) {
    const kept = tasks.get(task.id);
    const found = widget?.task?.(task.id) ?? { done: false };
    const ready = !task.predict || kept.guess !== "";
    if (found.done && ready && !kept.done) {
      kept.done = true;
      kept.value = found.value;
      queueMicrotask(() => say(`${task.text} ${words["task-done"]}`));
    }
    return html`<li data-task=${task.id} data-done=${String(kept.done)}><span class="task-mark" aria-hidden="true">${kept.done ? "✓" : "○"}</span><div><span id=${`task-${task.id}`}>${prose(task.text)}</span>
      <span class="hidden-text">${kept.done ? words["task-done"] : words["task-open"]}</span>
      ${task.predict ? html`<label class="field"><span>${task.predict}</span><input type="number" aria-describedby=${`task-${task.id}`} .value=${kept.guess} ?disabled=${kept.done} @change=${(event) => { kept.guess = event.target.value; widgetChanged(); }}></label>` : nothing}
      ${found.done && !ready ? html`<p class="small bad" role="status">${words["predicted-first"]}</p>` : nothing}
      ${task.predict && kept.done ? html`<p class="small">${filled(words.predicted, { guess: numberText(Number(kept.guess)), value: kept.value })}</p>` : nothing}</div></li>`;
  }

  function openSlips(event) {
    if (!event.target.open || slips.length) return;
    slips = chapter.slips.map(({ name }) => createExercise({ name, seed: link().seed, course, changed, say }));
    changed();
  }

  function neighbour(by, text) {
    const other = course.chapters.find((one) => one.number === chapter.number + by);
    return other ? html`<a class="button" href=${formatState({ room: "learn", lesson: String(other.number) })}>${filled(text, { title: other.title })}</a>` : nothing;
  }

  function view() {
    drawWidget(); // the theme or the link may have changed
    const step = stepNow();
    reach(step);
    return html`<article class="chapter" data-chapter=${chapter.number}>
      <header><p class="muted chapter-number">${filled(words.chapter, { number: chapter.number })}</p><h2>${chapter.title}</h2><p class="lead">${prose(chapter.summary)}</p></header>
      <div class="lesson">
        <section class="steps" aria-label=${words.steps} tabindex=${document.documentElement.dataset.projector ? "0" : nothing}><ol>${chapter.steps.map(stepView)}</ol>
          <div class="step-foot"><span>${filled(words.step, { number: step, count: chapter.steps.length })}</span></div></section>
        <section class="widget" aria-label=${chapter.widget.texts.label ?? chapter.title}>${body}</section>
      </div>
      <section class="exercises" aria-label=${words.exercises}><h2>${words.exercises}</h2><p class="muted small">${filled(words.mastery, { goal: 3 })}</p>${exercises.map((one) => one.view())}
        ${chapter.slips.length ? html`<details class="slips" @toggle=${openSlips}><summary>${filled(words.slips, { count: chapter.slips.length })}</summary>${slips.map((one) => one.view())}</details>` : nothing}</section>
      ${own.view()}
      <nav class="row chapter-foot" aria-label=${words.chapters}>${neighbour(-1, words.previous)}<span class="spread"></span>${neighbour(1, words.next)}</nav>
    </article>`;
  }

  function close() {
    closed = true;
    widget?.close?.();
  }

  load();
  /** Stop what plays and the camera, as where another room is shown. */
  const pause = () => widget?.close?.();

  return { view, close, pause, number: chapter.number, stepBy: (by) => show(stepNow() + by), seed: (to) => { if (to !== null) [...exercises, ...slips].forEach((one) => one.take(to)); } };
}
