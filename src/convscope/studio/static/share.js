/** A state as a link, Python, a command or an offline page. */
import { html, nothing } from "lit-html";
import * as api from "convscope/api";
import { made } from "convscope/elements";
import * as icons from "convscope/icons";
import { sayFailed } from "convscope/loading";
import { formatState } from "convscope/state";
import { changed, link, loaded, pending, say, sayProblem, show, view } from "convscope/store";
import { TEXT } from "convscope/strings";

export function shareMenu() {
  const live = !loaded.session?.offline;
  const open = view.menu === "share";
  const act = (work) => () => { show({ menu: "" }); work(); };
  return html`<div class="menu" @focusout=${(e) => { if (open && !e.currentTarget.contains(e.relatedTarget)) show({ menu: "" }); }} @keydown=${(e) => { if (open && e.key === "Escape") { show({ menu: "" }); e.stopPropagation(); } }}>
    <button aria-expanded=${String(open)} aria-label=${TEXT.share} @click=${() => show({ menu: open ? "" : "share" })}>${icons.share}<span>${TEXT.share}</span></button>
    ${open ? html`<div class="sheet">
      <button @click=${act(copyLink)}>${TEXT.copyLink}</button>
      ${live ? html`<button @click=${act(() => copy("python"))}>${TEXT.copyPython}</button>
      <button @click=${act(() => copy("command"))}>${TEXT.copyCommand}</button><hr>
      <button @click=${act(exportPage)}>${TEXT.exportPage}</button>` : nothing}
    </div>` : nothing}</div>`;
}

async function copyLink() {
  const address = `${location.origin === "null" ? location.href.split("#")[0] : location.origin + location.pathname}${formatState(link())}`;
  await toClipboard(address, TEXT.linkCopied);
}

async function copy(which) {
  try {
    const found = await api.copyAs(formatState(link()));
    await toClipboard(found[which], which === "python" ? TEXT.pythonCopied : TEXT.commandCopied);
  } catch (problem) {
    sayProblem(problem);
  }
}

async function toClipboard(text, says) {
  try {
    await navigator.clipboard.writeText(text);
    say(says, "note", { label: TEXT.showText, act: () => { view.copied = text; say(""); show({ dialog: "copy" }); } });
  } catch {
    // Where the browser gives no clipboard, the text is shown to be copied by hand.
    view.copied = text;
    show({ dialog: "copy" });
  }
}

export const copyBody = () => html`<pre class="code copy-text" tabindex="0">${view.copied ?? ""}</pre>`;

async function exportPage() {
  pending.set("export", TEXT.exporting);
  changed();
  try {
    const { blob, name } = await api.exportPage(formatState(link()));
    const anchor = made("a");
    anchor.href = URL.createObjectURL(blob);
    anchor.download = name;
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(anchor.href), 10_000);
    say(TEXT.exported(name, blob.size));
  } catch (problem) {
    sayFailed(problem, exportPage);
  }
  pending.delete("export");
  changed();
}
