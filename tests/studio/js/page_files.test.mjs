import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { test } from "node:test";
import { addressOf, importMap } from "./bare_names.mjs";

const STATIC = new URL("../../../src/convscope/studio/static/", import.meta.url);
const names = readdirSync(STATIC, { recursive: true }).filter((name) => statSync(new URL(name, STATIC)).isFile());
const text = (name) => readFileSync(new URL(name, STATIC), "utf8");
const own = names.filter((name) => name.endsWith(".js") && !name.startsWith("vendor/"));

test("the import map names the libraries, and the folder of our modules", () => {
  assert.deepEqual(importMap, { "lit-html": "/static/vendor/lit-html.js", uplot: "/static/vendor/uplot.js", "convscope/": "/static/" });
});

test("modules import by the names of the import map alone, and each is there", () => {
  for (const name of own) {
    const source = text(name).replace(/\/\*\*.*?\*\//gs, "");
    for (const [, found] of source.matchAll(/(?:\bfrom|\bimport\(?)\s*["']([^"'\n]+)["']/g)) {
      assert.ok(names.includes(addressOf(found)?.replace("/static/", "")) && found !== "convscope/offline", `${name} imports ${found}`);
    }
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

/** Bytes of files, and of their archive. @param {string[]} files */
function sizes(files) {
  // Libraries, modules, style sheets: files of one kind are beside each other, as in an archive that is to be small.
  const kind = (name) => (name.startsWith("vendor/") ? 0 : name.endsWith(".css") ? 2 : 1);
  const sorted = [...files].sort((a, b) => kind(a) - kind(b) || (a < b ? -1 : 1));
  const all = Buffer.concat(sorted.map((name) => readFileSync(new URL(name, STATIC))));
  return [all.length, gzipSync(all, { level: 9 }).length];
}

test("the files of Explore and Train are 400 kB at most together, and 120 kB compressed", () => {
  // The offline page has its own transport, licences are read where they are, and Learn is loaded when it is opened.
  const left = ["offline.js", "vendor/VENDORED.json"];
  const [bytes, compressed] = sizes(names.filter((name) => !left.includes(name) && !name.startsWith("learn/")));
  assert.ok(bytes <= 400_000 && compressed <= 120_000, `${bytes} and ${compressed} bytes`);
});

test("the files of Learn are 300 kB at most together, and 80 kB compressed", () => {
  const [bytes, compressed] = sizes(names.filter((name) => name.startsWith("learn/")));
  assert.ok(bytes <= 300_000 && compressed <= 80_000, `${bytes} and ${compressed} bytes`);
});

test("everything that the page and the course add to an installation is 1 MB at most", () => {
  const course = new URL("../../course/", STATIC);
  const texts = readdirSync(course, { recursive: true }).filter((name) => name.endsWith(".toml"));
  const bytes = [...names.map((name) => new URL(name, STATIC)), ...texts.map((name) => new URL(name, course))].reduce((all, file) => all + statSync(file).size, 0);
  assert.ok(bytes <= 1_000_000, `${bytes} bytes`);
});
