/** The labs: what the learner made with convscope, checked by the server from the folder that a command wrote. */
import { html, nothing } from "lit-html";
import * as api from "convscope/api";
import { table } from "convscope/learn/own_more";
import { filled } from "convscope/learn/fill";
import { changed, loaded } from "convscope/store";

const LABS = ["maps", "alexnet", "ablation"];

/** What was asked of each lab, and what came of it. @type {Object<string, {folder: string, guess: string, found: any, problem: string}>} */
const asked = Object.fromEntries(LABS.map((lab) => [lab, { folder: "", guess: "", found: null, problem: "" }]));

async function checkLab(lab) {
  const mine = asked[lab];
  try {
    const query = new URLSearchParams({ folder: mine.folder, guess: mine.guess });
    Object.assign(mine, { found: await api.request(`/api/learn/lab/${lab}?${query}`), problem: "" });
  } catch (error) {
    Object.assign(mine, { found: null, problem: error.message });
  }
  changed();
}

/** The labs, each checked from the folder that a command wrote. @param {any} room */
export function labs(room) {
  const { texts } = room;
  return html`<section class="labs" aria-label=${texts.labs}><h4>${texts.labs}</h4>
    ${loaded.session?.offline ? html`<p>${texts["labs-copy"]}</p>` : nothing}<p class="small">${texts["labs-data"]}</p>${LABS.map((lab) => {
    const mine = asked[lab];
    return html`<form class="lab" @submit=${(event) => { event.preventDefault(); checkLab(lab); }}><p>${texts[`lab-${lab}`]}</p><pre tabindex="0">${texts[`lab-${lab}-command`]}</pre>
      ${loaded.session?.offline ? nothing : html`<div class="row"><label class="field"><span>${texts["lab-folder"]}</span><input type="text" required .value=${mine.folder} @input=${(event) => { mine.folder = event.target.value; }}></label>
        ${lab === "ablation" ? html`<label class="field"><span>${texts["lab-guess"]}</span><input type="text" .value=${mine.guess} @input=${(event) => { mine.guess = event.target.value; }}></label>` : nothing}
        <button>${texts["lab-check"]}</button></div>`}
      <div role="status">${mine.problem ? html`<p class="problem">${mine.problem}</p>` : nothing}
        ${mine.found ? html`<p data-done=${String(mine.found.done)}>${mine.found.done ? "✓ " : ""}${filled(texts[`says-${mine.found.says}`], mine.found.values)}</p>${mine.found.rows.length ? table([texts["lab-variant"], texts["lab-accuracy"], texts["lab-interval"]], mine.found.rows) : nothing}` : nothing}</div></form>`;
  })}</section>`;
}
