/** Lets tests import the page's modules, and lets these import each other, by the names of the page's import map. */
import { readFileSync } from "node:fs";
import { register } from "node:module";

const STATIC = new URL("../../../src/convscope/studio/", import.meta.url);
const page = readFileSync(new URL("static/index.html", STATIC), "utf8");
const { imports } = JSON.parse(/<script type="importmap">(.*?)<\/script>/s.exec(page)[1]);

/** Return where the server has a module of this name; undefined where the import map has none. @param {string} name */
export const addressOf = (name) => imports[name] ?? (name.startsWith("convscope/") ? `${imports["convscope/"]}${name.slice(10)}.js` : undefined);

const hooks = `
const imports = ${JSON.stringify(imports)};
const addressOf = ${addressOf};
export const resolve = (name, context, next) => (addressOf(name) ? { url: new URL(addressOf(name).slice(1), ${JSON.stringify(STATIC.href)}).href, format: "module", shortCircuit: true } : next(name, context));
export const load = (url, context, next) => next(url, url.endsWith(".js") ? { ...context, format: "module" } : context);
`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);

/** The import map of the page. */
export const importMap = imports;
