/** The options of a list to choose from. */
import { html } from "lit-html";

/** Return options: values, and what is shown of them. @param {[any, string][]} choices */
export const options = (choices, chosen) => choices.map(([value, says]) => html`<option value=${value} .selected=${value === chosen}>${says}</option>`);
