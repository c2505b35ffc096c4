/** The room Learn: the list of chapters, a chapter or one exercise, progress. */
import { html, nothing, render } from "lit-html";
import { made } from "convscope/elements";
import { createChapter } from "convscope/learn/chapter";
import * as data from "convscope/learn/course_data";
import { createExercise } from "convscope/learn/exercise";
import { filled } from "convscope/learn/fill";
import * as progress from "convscope/learn/progress";
import { createProjector } from "convscope/learn/projector";
import { formatState } from "convscope/state";
import { go, link, oncePerTask, say as sayBelow, subscribe } from "convscope/store";
import { TEXT } from "convscope/strings";

const STYLES = ["/static/learn/learn.css", "/static/learn/course.css"];

/** Load the room's style sheets, unless the page holds them already. */
function styled() {
  if (document.getElementById("offline-page")) return Promise.resolve([]);
  return Promise.all(STYLES.map((address) => new Promise((done) => {
    const sheet = made("link");
    sheet.rel = "stylesheet";
    sheet.href = address;
    sheet.onload = sheet.onerror = done;
    document.head.append(sheet);
  })));
}

/** @param {HTMLElement} container */
export function mountLearn(container) {
  const live = made("div", "hidden-text");
  live.setAttribute("aria-live", "polite");
  live.setAttribute("role", "status");
  const body = made("div", "learn-body");
  container.append(body, live);
  /** @type {any} */
  let course = null;
  let problem = "";
  /** What is open: a chapter or an exercise, by the lesson of the link. @type {any} */
  let open = null;
  let lesson = "";
  let seed = null;
  let sure = false; // whether one more press deletes the progress

  const here = () => link().room === "learn";
  const changed = oncePerTask(() => { if (here()) draw(); });
  const projector = createProjector({ here: () => here() && Boolean(open?.stepBy), step: (by) => open?.stepBy?.(by), changed });

  function say(text) {
    live.textContent = live.textContent === text ? `${text}\u00a0` : text;
  }

  const room = {
    go, link, changed, say, filled, record: data.record,
  };

  async function load() {
    problem = "";
    try {
      [course] = await Promise.all([data.course(), styled()]);
    } catch (error) {
      problem = error.message;
    }
    changed();
  }

  const chapterOf = (name) => course.chapters.find((one) => [...one.exercises, ...one.slips].some((each) => each.name === name));

  /** Open what the link says. */
  function follow() {
    const now = link();
    if (now.lesson !== lesson || !open) {
      if (now.lesson !== lesson) scrollTop();
      open?.close?.();
      [open, lesson, seed] = [null, now.lesson, now.seed];
      const chapter = course.chapters.find((one) => String(one.number) === lesson);
      if (chapter) open = createChapter({ chapter, course, room });
      else if (lesson) open = single(lesson);
    } else if (now.seed !== seed) {
      seed = now.seed;
      open.seed?.(seed);
    }
  }

  /** One exercise by itself; the link has the seed of what is shown. */
  function single(name) {
    const one = createExercise({ name, seed: link().seed, course, changed, say, drawn: (to) => { seed = to; go({ seed: to }, { replace: true }); } });
    const chapter = chapterOf(name);
    const view = () => html`<div class="single"><h2 class="hidden-text">${course.words.exercises}</h2>${one.view()}${chapter ? html`<p><a href=${formatState({ room: "learn", lesson: String(chapter.number) })}>${filled(course.words.exercise.all, { number: chapter.number })}</a></p>` : nothing}</div>`;
    return { view, seed: (to) => { if (to !== null) one.take(to); } };
  }

  function scrollTop() {
    container.scrollTop = 0;
  }

  function masteredIn(chapter) {
    const count = chapter.exercises.filter(({ name }) => progress.progressOf(name).mastered).length;
    return html`<span class="small muted number" role="img" aria-label=${`${course.words.mastered}: ${count} / ${chapter.exercises.length}`}>${count}/${chapter.exercises.length}</span>`;
  }

  function list() {
    const { words } = course;
    const at = course.chapters.find((one) => String(one.number) === lesson) ?? chapterOf(lesson);
    return html`<nav class="chapter-list" aria-label=${words.list}>
      <ol>${course.chapters.map((one) => html`<li><a href=${formatState({ room: "learn", lesson: String(one.number) })} aria-current=${one === at ? "page" : nothing}><span class="number">${one.number}</span><span>${one.title}</span>${masteredIn(one)}</a></li>`)}</ol>
      <div class="list-foot">
        ${open?.stepBy ? html`<button class="quiet" aria-pressed=${String(projector.on)} @click=${projector.toggle}>${words.projector}</button>` : nothing}
        <button class="quiet" @click=${() => print()}>${words.print}</button>
        <button class="quiet" @click=${save}>${words.export}</button>
        <button class="quiet" @click=${forget} @keydown=${(event) => { if (event.repeat) event.preventDefault(); }} @blur=${() => { sure = false; changed(); }}>${sure ? words["forget-sure"] : words.forget}</button>
        ${progress.isStored() ? nothing : html`<p class="small muted" role="note">${words["no-storage"]}</p>`}
      </div></nav>`;
  }

  /** Forget all progress at the second press: it can't be brought back. A double click is one press. */
  function forget(event) {
    const { words } = course;
    if (event.detail > 1) return;
    event.currentTarget.focus(); // which Safari does not at a click: without the focus there would be no blur
    if (sure) progress.forget();
    say(sure ? words.forgotten : words["forget-sure"]);
    if (sure) sayBelow(words.forgotten);
    sure = !sure;
    changed();
  }

  function save() {
    const file = new Blob([JSON.stringify(progress.exported(course.words.exported), null, 1)], { type: "application/json" });
    const address = URL.createObjectURL(file);
    const anchor = made("a");
    anchor.href = address;
    anchor.download = "convscope-learn-progress.json";
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  function overview() {
    const { words } = course;
    return html`<div class="overview"><h2>${words.title}</h2><p class="lead">${words.intro}</p>
      <ol>${course.chapters.map((one) => html`<li><a class="card" href=${formatState({ room: "learn", lesson: String(one.number) })}><span class="chapter-number muted">${filled(words.chapter, { number: one.number })}</span><strong>${one.title}</strong><span>${one.summary}</span></a></li>`)}</ol>
      <p class="small muted">${filled(words.mastery, { goal: progress.GOAL })} ${words.keys}</p></div>`;
  }

  function draw() {
    if (!course) {
      render(problem ? html`<p class="problem" role="alert">${problem}</p><button @click=${load}>${TEXT.retry}</button>` : html`<p class="empty">…</p>`, body);
      return;
    }
    follow();
    render(html`<div class="learn" data-projecting=${String(projector.on)}>${list()}<div class="learn-main">${open ? open.view() : overview()}</div></div>`, body);
  }

  let wasHere = true;
  subscribe(() => {
    if (here()) changed();
    else if (wasHere) {
      projector.end();
      open?.pause?.();
    }
    wasHere = here();
  });
  load();
  draw();
  return { keys: () => course?.words.keys, title: () => course?.chapters.find((one) => String(one.number) === link().lesson)?.title ?? (link().lesson || "") };
}
