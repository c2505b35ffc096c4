import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { test } from "node:test";
import { importMap } from "./bare_names.mjs";

const STATIC = new URL("../../../src/convscope/studio/static/", import.meta.url);
const names = readdirSync(STATIC, { recursive: true }).filter((name) => statSync(new URL(name, STATIC)).isFile());
const text = (name) => readFileSync(new URL(name, STATIC), "utf8");
const own = names.filter((name) => name.endsWith(".js") && !name.startsWith("vendor/"));

test("every module has its name in the import map, and no other name is there", () => {
  const expected = own.filter((name) => name !== "offline.js").map((name) => [`convscope/${name.slice(0, -3)}`, `/static/${name}`]);
  const others = [["lit-html", "/static/vendor/lit-html.js"], ["uplot", "/static/vendor/uplot.js"]];
  assert.deepEqual(Object.fromEntries(Object.entries(importMap).sort()), Object.fromEntries([...expected, ...others].sort()));
});

test("modules import by the names of the import map alone", () => {
  for (const name of own) {
    const source = text(name).replace(/\/\*\*.*?\*\//gs, "");
    for (const [, found] of source.matchAll(/(?:\bfrom|\bimport\(?)\s*["']([^"'\n]+)["']/g)) assert.ok(found in importMap, `${name} imports ${found}`);
  }
});

test("no module writes markup as text or evaluates text", () => {
  for (const name of own) {
    assert.doesNotMatch(text(name), /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\("style"| style="/, name);
  }
});

test("one module sends requests", () => {
  for (const name of own) {
    if (!["transport.js", "offline.js"].includes(name)) assert.doesNotMatch(text(name), /\bfetch\(|new EventSource|XMLHttpRequest|WebSocket/, name);
  }
});

test("files of others are as they were published, with what we add", () => {
  const { files, licences } = JSON.parse(text("vendor/VENDORED.json"));
  for (const { file, package: from, sha256, appended } of files) {
    const all = text(`vendor/${file}`);
    assert.ok(all.endsWith(appended), file);
    const published = all.slice(0, all.length - appended.length);
    assert.equal(createHash("sha256").update(published).digest("hex"), sha256, file);
    assert.match(licences[from], /Copyright/);
  }
});

test("every file in vendor is listed", () => {
  const listed = JSON.parse(text("vendor/VENDORED.json")).files.map(({ file }) => `vendor/${file}`);
  assert.deepEqual(names.filter((name) => name.startsWith("vendor/") && !name.endsWith(".json")).sort(), listed.sort());
});

test("all files that the page loads are 400 kB at most together, and 120 kB compressed", () => {
  // The offline page has its own transport, and licences are read where they are.
  const loaded = names.filter((name) => !["offline.js", "vendor/VENDORED.json"].includes(name));
  // Libraries, modules, style sheets: files of one kind are beside each other, as in an archive that is to be small.
  const kind = (name) => (name.startsWith("vendor/") ? 0 : name.endsWith(".css") ? 2 : 1);
  loaded.sort((a, b) => kind(a) - kind(b) || (a < b ? -1 : 1));
  const all = Buffer.concat(loaded.map((name) => readFileSync(new URL(name, STATIC))));
  const compressed = gzipSync(all, { level: 9 }).length;
  assert.ok(all.length <= 400_000 && compressed <= 120_000, `${all.length} and ${compressed} bytes`);
});
