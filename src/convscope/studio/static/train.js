/** The Train room: the list of runs, and beside it a form, a run or a comparison. */
import { html, nothing, render } from "lit-html";
import { oncePerTask } from "convscope/store";
import { createComparison } from "convscope/train_compare";
import { shareDone } from "convscope/train_data";
import { createForm } from "convscope/train_form";
import { chip, createRun } from "convscope/train_run";
import { TRAIN } from "convscope/train_strings";
import { percent } from "convscope/units";

const ALIVE_MS = 1500;
const QUIET_MS = 4000;

/**
 * Show the Train room in an element.
 * @param {any} context the shell's: api, link, subscribe, train, explore
 */
export function mountTrain(container, context) {
  let runs = [];
  let leftOut = [];
  let loaded = false;
  let problem = "";
  /** @type {Set<string>} */
  let chosen = new Set();
  let form = null;
  let run = null;
  let comparison = null;
  let asksForm = false;
  let timer = 0;

  const here = () => context.link().room === "train";
  const changed = oncePerTask(() => { if (here()) draw(); });

  async function ask() {
    clearTimeout(timer);
    if (here() && !document.hidden) {
      try {
        const found = await context.api.request("/api/runs");
        runs = found.runs;
        leftOut = found.left_out;
        loaded = true;
        // A link may be older than its run; and a browser may not listen on by itself to a server that was away.
        if (run && (problem || (!run.now && runs.some((each) => each.name === run.name)))) run.reload();
        if (problem) form?.reload();
        problem = "";
      } catch (error) {
        problem = error.message;
      }
      changed();
    }
    timer = setTimeout(ask, runs.some((each) => each.alive) ? ALIVE_MS : QUIET_MS);
  }

  /** Open what the link says, and close what it says no more. */
  function follow() {
    const link = context.link();
    const several = link.compare.length > 1 ? link.compare : [];
    if (comparison && comparison.names.join("\n") !== several.join("\n")) {
      comparison.close();
      comparison = null;
    }
    if (several.length) comparison ??= createComparison({ context, names: several, changed });
    const shown = several.length || link.new ? "" : link.run;
    if (run && run.name !== shown) {
      run.close();
      run = null;
    }
    if (shown) run ??= createRun({ context, name: shown, changed });
    const asked = !several.length && !shown && (link.new || (loaded && !runs.length));
    if (asked && form && !asksForm) form.reload(); // there may be other sets, and weights of other runs
    if (asked) form ??= createForm({ context, changed, started });
    asksForm = asked;
  }

  function started(name) {
    context.train({ run: name });
    ask();
  }

  function draw() {
    follow();
    const link = context.link();
    render(html`<div class="train">
      <aside class="run-list" aria-label=${TRAIN.runs}>
        <div class="row"><h2>${TRAIN.runs}</h2><span class="spread"></span>
          <button class="primary" @click=${() => context.train({ new: true })} aria-pressed=${String(link.new)}>${TRAIN.newTraining}</button></div>
        ${problem ? html`<p class="problem small" role="alert">${problem}</p>` : nothing}
        ${loaded && !runs.length ? html`<p class="muted small">${TRAIN.noRuns}</p>` : nothing}
        <ul>${runs.map(row)}</ul>
        ${runs.length > 1 ? html`<button @click=${() => context.train({ compare: [...chosen] })} ?disabled=${chosen.size < 2}>${TRAIN.compareRuns(chosen.size)}</button>` : nothing}
        ${leftOut.length ? html`<p class="muted small">${TRAIN.leftOut(leftOut)}</p>` : nothing}
      </aside>
      <section class="train-main">${comparison ? comparison.view() : run ? run.view() : form && (link.new || !runs.length) ? form.view() : html`<p class="empty">${loaded ? TRAIN.chooseRun : TRAIN.loading}</p>`}</section>
    </div>`, container);
  }

  function row(each) {
    const link = context.link();
    // What is shown beside the list is newer than the list.
    if (run?.name === each.name && run.now) each = { ...each, state: run.now.state, alive: run.now.alive, progress: run.now.progress };
    const share = each.alive ? shareDone(each) : null;
    const current = link.run === each.name && !link.new && link.compare.length < 2;
    return html`<li class="run-row" data-run=${each.name} data-state=${each.state} data-current=${String(current)}>
      <input type="checkbox" aria-label=${TRAIN.choose(each.name)} .checked=${chosen.has(each.name)} @change=${() => choose(each.name)}>
      <button class="link" aria-current=${current ? "true" : nothing} @click=${() => context.train({ run: each.name })}>
        <span class="run-name">${each.name}</span>
        <span class="muted small">${[each.model, each.best_validation === null || each.best_validation === undefined ? "" : percent(each.best_validation)].filter(Boolean).join(" · ")}</span></button>
      ${chip(each.state)}
      ${share === null ? nothing : html`<progress max="1" .value=${share} aria-label=${TRAIN.run.progress}></progress>`}
    </li>`;
  }

  function choose(name) {
    chosen = new Set(chosen);
    if (!chosen.delete(name)) chosen.add(name);
    changed();
  }

  document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
  context.subscribe(() => {
    if (here()) return changed();
    // Another room is shown: the stream of events is not needed meanwhile, and the form is asked for anew.
    run?.close();
    run = null;
    asksForm = false;
  });
  draw();
  ask();
  return { keys: () => TRAIN.keys };
}
