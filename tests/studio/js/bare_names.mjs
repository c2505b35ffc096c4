/** Lets tests import the page's modules, and lets these import each other, by the names of the page's import map. */
import { readFileSync } from "node:fs";
import { register } from "node:module";

const STATIC = new URL("../../../src/convscope/studio/", import.meta.url);
const page = readFileSync(new URL("static/index.html", STATIC), "utf8");
const { imports } = JSON.parse(/<script type="importmap">(.*?)<\/script>/s.exec(page)[1]);

const hooks = `
const places = ${JSON.stringify(Object.fromEntries(Object.entries(imports).map(([name, path]) => [name, new URL(path.slice(1), STATIC).href])))};
export const resolve = (name, context, next) => (name in places ? { url: places[name], format: "module", shortCircuit: true } : next(name, context));
export const load = (url, context, next) => next(url, url.endsWith(".js") ? { ...context, format: "module" } : context);
`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);

/** The import map of the page. */
export const importMap = imports;
