/** The dialog that is open. */
import { html, nothing, render } from "lit-html";
import { made } from "convscope/elements";
import * as icons from "convscope/icons";
import { keysBody } from "convscope/keys";
import { imageBody, modelBody } from "convscope/pickers";
import { searchBody } from "convscope/search";
import { copyBody } from "convscope/share";
import { cameraBody, digitBody, endCamera } from "convscope/digit";
import { show, view } from "convscope/store";
import { TEXT } from "convscope/strings";

/** @type {Object<string, {title: string, body: () => unknown, filter?: string}>} */
const KINDS = {
  model: { title: TEXT.model, body: () => modelBody("model"), filter: TEXT.filterModels },
  other: { title: TEXT.compareWith, body: () => modelBody("other"), filter: TEXT.filterModels },
  image: { title: TEXT.image, body: imageBody },
  search: { title: TEXT.search, body: searchBody, filter: TEXT.searchLabel },
  keys: { title: TEXT.keysLabel, body: keysBody },
  digit: { title: TEXT.drawDigit, body: digitBody },
  camera: { title: TEXT.camera, body: cameraBody },
  copy: { title: TEXT.copyTitle, body: copyBody },
};

const element = made("dialog");
element.addEventListener("close", () => {
  endCamera();
  if (view.dialog) show({ dialog: "", query: "" });
});
element.addEventListener("click", (event) => { if (event.target === element) element.close(); });
element.addEventListener("keydown", (event) => {
  if (!["ArrowDown", "ArrowUp", "Enter"].includes(event.key)) return;
  const options = [...element.querySelectorAll(".option")];
  if (!options.length) return;
  const at = options.indexOf(document.activeElement);
  if (event.key === "Enter") {
    if (at >= 0 || !(event.target.matches("input[type=search]"))) return;
    options[0].click();
  } else {
    const to = at + (event.key === "ArrowDown" ? 1 : -1);
    if (to < 0) element.querySelector("input[type=search]")?.focus();
    else options[Math.min(options.length - 1, to)].focus();
  }
  event.preventDefault();
});
let open = "";

/** The dialog's element, drawn as the view says. */
export function dialogs() {
  const kind = KINDS[view.dialog];
  if (kind) {
    element.setAttribute("aria-label", kind.title);
    render(html`<header><h2>${kind.title}</h2>
      ${kind.filter ? html`<input type="search" autocomplete="off" spellcheck="false" placeholder=${kind.filter} aria-label=${kind.filter} .value=${view.query} @input=${(e) => show({ query: e.target.value })}>` : html`<span class="spread"></span>`}
      <button class="icon quiet" @click=${() => element.close()} aria-label=${TEXT.close}>${icons.close}</button></header>
      <div class="body">${kind.body()}</div>`, element);
  }
  if (view.dialog !== open) {
    const was = open;
    open = view.dialog;
    queueMicrotask(() => {
      if (kind && !element.open) element.showModal();
      if (kind) element.querySelector("input[type=search], [autofocus], .gallery button[aria-current=true], .body button, .body [tabindex]")?.focus();
      if (!kind && element.open) element.close(); // the focus goes back to where it was
      if (!kind && was) render(nothing, element);
    });
  }
  return element;
}
