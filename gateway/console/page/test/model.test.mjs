// What is drawn: a row per version, and of a large mesh what matters, in one piece.

import assert from "node:assert/strict";
import test from "node:test";
import { lanes } from "../src/graph/model.ts";
import { ago, number, percent, plain, span } from "../src/text.ts";
import { seconds } from "../src/changes.ts";

let ids = 0;
const edge = (from, to, more = {}) => {
  const [source, destination] = [from, to].map((x) => ({ app: x.split(" ")[0], version: x.split(" ")[1] ?? "v1" }));
  return { id: String(++ids).padStart(16, "0"), idc: "idc1", source, destination, rate: 1, errors: 0, ...more };
};
const all = () => true;

test("versions are rows of one box", () => {
  const [lane] = lanes([edge("in", "a v10", { rate: 3, errors: 0.5 }), edge("in", "a v2")], [], all, {});
  assert.deepEqual(lane.boxes.map((b) => b.name), ["a", "in"]);
  assert.deepEqual(lane.boxes[0].rows, [{ version: "v2", rate: 1, errors: 0 }, { version: "v10", rate: 3, errors: 0.5 }]);
  assert.ok(lane.boxes[1].entry && lane.boxes[0].failing);
});

test("a large mesh is drawn in one piece, with what fails", () => {
  const chain = Array.from({ length: 20 }, (_, i) => edge(i ? `deep${i}` : "in", `deep${i + 1}`, i === 19 ? { errors: 0.9 } : {}));
  const wide = Array.from({ length: 200 }, (_, i) => edge("in", `wide${i}`, { rate: 100 + i }));
  const [lane] = lanes([...chain, ...wide], [{ idc: "idc1", hops: [{ from: "", to: "in", depth: 0, rate: 1 }] }], all, {});
  const names = new Set(lane.boxes.map((b) => b.name));
  assert.equal(names.size, 36);
  assert.ok(names.has("deep20") && names.has("deep7") && names.has("wide199") && !names.has("wide0"));
  assert.equal(lane.folded, 221 - 36);
  assert.equal(lanes([...chain, ...wide], [], all, { "lane idc1": true })[0].boxes.length, 221);
});

test("no app's name is one that all objects have", () => {
  const [lane] = lanes([edge("in", "__proto__"), edge("__proto__", "constructor")], [], all, {});
  assert.deepEqual(lane.boxes.map((b) => b.name).sort(), ["__proto__", "constructor", "in"]);
  assert.ok(lane.boxes.every((b) => !(b.id in {})) && lane.lines.every((l) => !(l.from in {}) && !(l.to in {})));
});

test("the shape stays while only rates change", () => {
  const shape = (rate) => lanes([{ ...edge("a", "b"), id: "x", rate }], [], all, {})[0].shape;
  assert.equal(shape(1), shape(200));
});

test("numbers, times and text", () => {
  assert.deepEqual([0, 0.123, 4.7, 31.14, 1269, 12_345, NaN, undefined].map(number), ["0", "0.12", "4.7", "31.1", "1269", "12.3 k", "–", "–"]);
  assert.deepEqual([0, 0.0004, 0.004, 0.102, 1].map(percent), ["0 %", "< 0.1 %", "0.4 %", "10 %", "100 %"]);
  assert.deepEqual([42, 300, 11_400, 2e5].map(span), ["42 s", "5 min", "3 h 10 min", "2 d"]);
  assert.equal(ago("0001-01-01T00:00:00Z", 1e12), "");
  assert.equal(plain("a\u202eb\u0000c\u061c"), "a\ufffdb\ufffdc\ufffd");
  assert.equal(plain("x".repeat(400)).length, 301);
  assert.deepEqual(["30m", "1h30m", "90s", "1.5h"].map(seconds), [1800, 5400, 90, 5400]);
  assert.ok([ "", "30", "soon", "-5m"].every((x) => Number.isNaN(seconds(x))));
});
