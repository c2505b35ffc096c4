/** One exercise: the question, three tries, the worked steps, other numbers. */
import { html, nothing } from "lit-html";
import { made } from "convscope/elements";
import { exercise as asked } from "convscope/learn/course_data";
import { ownId } from "convscope/learn/controls";
import { AnswerError } from "convscope/learn/number_text";
import { answerText, marked } from "convscope/learn/marking";
import { filled } from "convscope/learn/fill";
import { prose } from "convscope/learn/prose";
import * as progress from "convscope/learn/progress";
import { loaded } from "convscope/store";

/**
 * @param {{name: string, seed: number|null, course: any, changed: () => void, drawn?: (seed: number) => void, say: (text: string) => void}} how
 *   `drawn` is called with the seed of each draw
 */
export function createExercise({ name, seed: given, course, changed, drawn, say }) {
  const words = course.words.exercise;
  const id = ownId("exercise");
  let seed = given ?? freshSeed();
  /** @type {any} */
  let found = null;
  let problem = "";
  let text = "";
  let wrong = 0; // tries that are used
  let shown = false; // the worked steps
  let done = false; // answered rightly, or shown
  /** @type {{kind: string, lines: string[], suggestion?: string}|null} */
  let feedback = null;

  /** Return a seed; a static course goes through those that it holds, from the seed `after` on. */
  function freshSeed(after = /** @type {number|null} */ (null)) {
    const held = loaded.session?.offline && after !== null;
    return held ? (after + 1) % course.seeds : Math.floor(Math.random() * course.seeds);
  }

  /** @param {boolean} [fresh] whether the learner asked for it: the question is said, and its first field gets the focus */
  async function load(fresh = false) {
    const wanted = seed;
    problem = "";
    try {
      const answer = await asked(name, wanted);
      if (wanted !== seed) return;
      found = answer;
      if (fresh) {
        say(answer.statement);
        setTimeout(() => document.getElementById(`${id}-form`)?.querySelector("input")?.focus({ preventScroll: true }));
      }
    } catch (error) {
      problem = filled(words.failed, { problem: error.message });
    }
    changed();
  }

  /** Begin anew. @param {number} to a seed @param {boolean} [fresh] as `load` takes it */
  function draw(to, fresh) {
    [seed, found, text, wrong, shown, done, feedback] = [to, null, "", 0, false, false, null];
    drawn?.(to);
    load(fresh);
  }

  function check(event) {
    event?.preventDefault();
    if (done || !found) return;
    if (found.kind === "choice" && !text) {
      feedback = { kind: "unread", lines: [words.unanswered] };
      return changed();
    }
    try {
      const mark = marked(text, found, course.marking);
      if (mark.mark === "right") {
        done = true;
        progress.note(name, seed, found.kind !== "choice" || wrong === 0);
      } else {
        wrong += 1;
        if (wrong >= progress.TRIES) end();
      }
      feedback = { kind: mark.mark, lines: mark.lines };
    } catch (error) {
      if (!(error instanceof AnswerError)) throw error;
      feedback = { kind: "unread", lines: [filled(course.marking[error.key], error.values)], suggestion: error.suggestion };
    }
    say([...feedback.lines, shown ? rightText() : done ? standing() : tryText()].filter(Boolean).join(" "));
    changed();
  }

  const tryText = () => (!wrong ? "" : wrong === progress.TRIES - 1 ? words.last : filled(words.try, { number: wrong + 1 }));

  /** The right answer, as the worked steps end. */
  const rightText = () => filled(words["right-answer"], { answer: found.kind === "choice" ? `${found.answer}) ${found.options[found.answer].replace(/\.$/, "")}` : answerText(found.answer) });

  /** How many draws in a row were answered, or that the exercise is mastered. */
  function standing() {
    const { mastered, drawn: draws, streak } = progress.progressOf(name);
    if (mastered) return course.words.mastered;
    return draws ? filled(course.words.streak, { count: Math.min(streak, progress.GOAL), goal: progress.GOAL }) : "";
  }

  function showSteps() {
    end();
    say(rightText());
  }

  /** Show the worked steps; the draw counts as not answered. */
  function end() {
    if (!done) progress.note(name, seed, false);
    done = shown = true;
    changed();
  }

  function suggested(suggestion) {
    text = suggestion;
    check(null);
  }

  async function copyLink() {
    const link = `${location.href.split("#")[0].split("?")[0]}#/learn/${name}?v=1&seed=${seed}`;
    try {
      await navigator.clipboard.writeText(link);
      say(words.copied);
    } catch {
      feedback = { kind: "unread", lines: [filled(words["copy-failed"], { link })] };
      changed();
    }
  }

  const input = made("input");
  input.type = "text";
  input.autocomplete = "off";
  input.spellcheck = false;
  input.id = `${id}-answer`;
  input.maxLength = 600;
  input.setAttribute("aria-describedby", `${id}-feedback`);
  input.addEventListener("input", () => { text = input.value; });

  function answerField() {
    if (found.kind === "choice") {
      return html`<fieldset class="options" aria-describedby=${`${id}-feedback`}><legend class="hidden-text">${words.answer}</legend>${Object.entries(found.options).map(([letter, says]) => html`<label class="option-row">
        <input type="radio" name=${`${id}-${seed}`} value=${letter} .checked=${text === letter} ?disabled=${done} @change=${() => { text = letter; changed(); }}><span class="letter">${letter}</span><span>${says}</span></label>`)}</fieldset>`;
    }
    if (input.value !== text) input.value = text;
    input.disabled = done;
    input.setAttribute("aria-invalid", String(Boolean(feedback) && feedback.kind !== "right"));
    return html`<label class="answer-field"><span>${words.answer}${found.unit ? html` <span class="muted">(${found.unit})</span>` : nothing}</span>${input}</label>`;
  }

  function view() {
    const title = found?.title ?? course.chapters.flatMap((one) => [...one.exercises, ...one.slips]).find((one) => one.name === name)?.title ?? "";
    return html`<section class="exercise" aria-labelledby=${`${id}-title`} data-exercise=${name} data-seed=${seed} data-done=${String(done)}>
      <header><h3 id=${`${id}-title`}><span class="exercise-name">${name}</span> ${title}</h3><span class="spread"></span>
        ${standing() ? html`<span class=${progress.progressOf(name).mastered ? "badge mastered" : "badge"}>${standing()}</span>` : nothing}</header>
      ${problem ? html`<p class="problem" role="alert">${problem}</p><button @click=${() => load()}>${words.again}</button>` : !found ? html`<p class="muted">${course.words.loading}</p>` : html`
        <p class="statement">${prose(found.statement)}</p>
        ${Object.entries(found.shown).map(([label, rows]) => html`<figure class="rows"><figcaption class="small muted">${label}</figcaption><pre tabindex="0" aria-label=${label}>${rows}</pre></figure>`)}
        <form id=${`${id}-form`} @submit=${check}>${answerField()}
          <div class="row">${done ? nothing : html`<button class="primary" type="submit">${words.check}</button>
            <span class="small muted">${tryText()}</span>`}
            ${done && !shown ? html`<button type="button" @click=${showSteps}>${words.show}</button>` : nothing}
            ${wrong && !done ? html`<button type="button" @click=${showSteps}>${words.show}</button>` : nothing}
            <button type="button" class=${done ? "primary" : ""} @click=${() => draw(freshSeed(seed), true)}>${words.fresh}</button>
            <span class="spread"></span><button type="button" class="quiet small" @click=${copyLink} title=${words.link}>${filled(words.seed, { seed: String(seed) })}</button></div></form>
        ${feedback ? html`<div class="feedback" id=${`${id}-feedback`} data-kind=${feedback.kind}>${feedback.lines.map((line) => html`<p>${line}</p>`)}
          ${feedback.suggestion && !done ? html`<button type="button" @click=${() => suggested(feedback.suggestion)}>${filled(course.marking.mean, { suggestion: feedback.suggestion })}</button>` : nothing}</div>` : nothing}
        ${shown ? html`<div class="worked"><h4>${words.steps}</h4><ol>${found.steps.map((step) => html`<li>${step}</li>`)}</ol>
          <p><strong>${rightText()}</strong></p>
          <p class="small muted"><code>${filled(words["in-terminal"], { name, seed: String(seed) })}</code></p></div>` : nothing}`}
    </section>`;
  }

  load();
  drawn?.(seed);
  return { view, name, get seed() { return seed; }, take: (to) => { if (to !== seed) draw(to); } };
}

