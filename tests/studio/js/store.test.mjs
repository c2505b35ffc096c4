import assert from "node:assert/strict";
import { mock, test } from "node:test";
import "./bare_names.mjs";

test("a link that the browser refuses is written later, and not tried for ever", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  let refuses = true;
  const written = [];
  let tried = 0;
  const write = (how) => (_state, _title, fragment) => {
    tried += 1;
    if (refuses) throw new DOMException("refused", "SecurityError");
    written.push(`${how} ${fragment}`);
  };
  globalThis.history = { pushState: write("push"), replaceState: write("replace") };
  const { go } = await import("convscope/store");
  go({ model: "lenet5" });
  mock.timers.tick(5000);
  refuses = false;
  mock.timers.tick(1000);
  assert.deepEqual(written, ["replace #/explore?v=1&m=lenet5"]);
  refuses = true;
  tried = 0;
  go({ model: "alexnet" });
  for (let second = 0; second < 3600; second += 1) mock.timers.tick(1000);
  assert.ok(tried > 10 && tried < 30, `${tried} times`);
  refuses = false;
  go({ model: "vgg16" });
  assert.equal(written.at(-1), "push #/explore?v=1&m=vgg16");
  mock.timers.reset();
});
