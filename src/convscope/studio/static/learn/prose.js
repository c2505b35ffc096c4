/** Paragraphs of the course, which may have `code` and [links](#/...) in them. */
import { html } from "lit-html";
import { loaded } from "convscope/store";

/** Return a paragraph's parts; a static course has no other rooms to link to. @param {string} text */
export function prose(text) {
  return text.split(/(`[^`]*`|\[[^\]]*\]\(#\/[^)\s]*\))/).map((part) => {
    if (part.startsWith("`") && part.length > 1) return html`<code>${part.slice(1, -1)}</code>`;
    const link = /^\[([^\]]*)\]\((#\/[^)\s]*)\)$/.exec(part);
    if (link && loaded.session?.offline && !link[2].startsWith("#/learn")) return link[1];
    return link ? html`<a href=${link[2]}>${link[1]}</a>` : part;
  });
}
