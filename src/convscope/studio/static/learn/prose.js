/** Paragraphs of the course, which may have `code` and [links](#/...) in them. */
import { html } from "lit-html";

/** Return a paragraph's parts. @param {string} text */
export function prose(text) {
  return text.split(/(`[^`]*`|\[[^\]]*\]\(#\/[^)\s]*\))/).map((part) => {
    if (part.startsWith("`") && part.length > 1) return html`<code>${part.slice(1, -1)}</code>`;
    const link = /^\[([^\]]*)\]\((#\/[^)\s]*)\)$/.exec(part);
    return link ? html`<a href=${link[2]}>${link[1]}</a>` : part;
  });
}
