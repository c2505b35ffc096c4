/** The page of a static course: the room Learn by itself, answered from the file that it stands in. */
import { html, nothing, render } from "lit-html";
import * as api from "convscope/api";
import { made } from "convscope/elements";
import * as icons from "convscope/icons";
import { keepFocus } from "convscope/kept_focus";
import * as data from "convscope/learn/course_data";
import { filled } from "convscope/learn/fill";
import { mountLearn } from "convscope/learn/room";
import { DEFAULTS } from "convscope/state";
import { changed, followLink, go, keptTheme, link, loaded, nextTheme, say, subscribe, theme, view } from "convscope/store";
import { TEXT } from "convscope/strings";

const app = document.getElementById("app");
const container = made("div", "learn-room");

/** Keep the link to what the file holds: one room, and exercises of the first seeds. @param {any} words */
function keepToHeld(words) {
  const { room, seed } = link();
  const { draws } = loaded.session.offline;
  if (room !== "learn") go({ ...DEFAULTS, room: "learn" }, { replace: true });
  if (seed === null || seed < draws) return;
  const shown = seed % draws;
  go({ seed: shown }, { replace: true });
  say(filled(words["seed-held"], { last: draws - 1, asked: String(seed), seed: shown }));
}

function draw(/** @type {any} */ words, /** @type {any} */ room) {
  const { said } = view;
  document.title = [room.title() || words.title, "convscope"].join(" · ");
  render(html`<header class="bar"><a class="brand" href="#/learn" aria-label=${`convscope, ${words.list}`}>${icons.brand}<span>convscope</span></a>
      <span class="spread"></span>
      <button class="icon quiet" @click=${nextTheme} aria-label=${TEXT.themeLabel(theme())} title=${TEXT.themeLabel(theme())}>${icons.theme}</button></header>
    <main><h1 class="hidden-text" tabindex="-1">${document.title}</h1>${container}</main>
    <footer class="status"><div class=${`said ${said?.kind ?? ""}`} role="status" aria-live="polite">${said ? html`<span>${said.text}</span><button class="quiet" @click=${() => say("")} aria-label=${TEXT.dismiss}>${icons.close}</button>` : nothing}</div>
      <span class="spread"></span>
      <details class="offline"><summary>${words.copy}</summary><p>${filled(words["copy-holds"], loaded.session.offline)}</p></details></footer>`, app);
}

keptTheme();
keepFocus();
loaded.session = await api.session();
const { words } = await data.course();
followLink();
keepToHeld(words);
const room = mountLearn(container);
subscribe(() => {
  keepToHeld(words);
  draw(words, room);
});
addEventListener("resize", changed);
draw(words, room);
setTimeout(changed); // the room has read the course by then, and says the title of what it shows
