/** Small drawings of the controls. */
import { svg } from "lit-html";

const icon = (inner) => svg`<svg class="glyph" viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${inner}</svg>`;

export const brand = svg`<svg viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="7" fill="#12202f"/><path d="M7 7h18v18H7z" fill="none" stroke="#8fd0f5" stroke-width="2" opacity=".55"/><path d="M11 11h10v10H11z" fill="none" stroke="#8fd0f5" stroke-width="2"/><path d="M14 14h4v4h-4z" fill="#ff8f4d"/></svg>`;
const lens = svg`<circle cx="9" cy="9" r="5.2"/><path d="M13 13l4 4"/>`;
export const search = icon(lens);
export const close = icon(svg`<path d="M5 5l10 10M15 5L5 15"/>`);
export const share = icon(svg`<path d="M10 12.5V3m0 0L6.8 6.2M10 3l3.2 3.2M4 11v4.5A1.5 1.5 0 005.5 17h9a1.5 1.5 0 001.5-1.5V11"/>`);
export const compare = icon(svg`<rect x="3" y="4" width="6" height="12" rx="1"/><rect x="11" y="4" width="6" height="12" rx="1"/>`);
export const theme = icon(svg`<circle cx="10" cy="10" r="6.5"/><path d="M10 3.5v13A6.5 6.5 0 0010 3.5z" fill="currentColor"/>`);
export const keys = icon(svg`<rect x="2.5" y="5" width="15" height="10" rx="1.5"/><path d="M5.5 8h.01M8.5 8h.01M11.5 8h.01M14.5 8h.01M6.5 12h7"/>`);
export const play = icon(svg`<path d="M6.5 4.5v11l9-5.5z" fill="currentColor"/>`);
export const pause = icon(svg`<path d="M7 5v10M13 5v10" stroke-width="2.4"/>`);
export const back = icon(svg`<path d="M12 4l-6 6 6 6"/>`);
export const next = icon(svg`<path d="M8 4l6 6-6 6"/>`);
export const first = icon(svg`<path d="M14 4l-6 6 6 6M5.5 4v12"/>`);
export const last = icon(svg`<path d="M6 4l6 6-6 6M14.5 4v12"/>`);
export const zoom = icon(svg`${lens}<path d="M9 6.8v4.4M6.8 9h4.4"/>`);
export const up = icon(svg`<path d="M10 16V4m0 0L5.5 8.5M10 4l4.5 4.5"/>`);
export const camera = icon(svg`<rect x="2.5" y="6" width="15" height="10" rx="1.8"/><circle cx="10" cy="11" r="2.8"/><path d="M7 6l1.2-2h3.6L13 6"/>`);
export const pencil = icon(svg`<path d="M4 16l1-4 8.5-8.5 3 3L8 15z"/>`);
export const model = icon(svg`<rect x="2.5" y="4.5" width="3" height="11" rx=".8"/><rect x="8.5" y="6.5" width="3" height="7" rx=".8"/><rect x="14.5" y="8.5" width="3" height="3" rx=".8"/>`);
