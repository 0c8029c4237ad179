// What one look must tell: the worst first, in words; and what is not known is never said to be well.

import assert from "node:assert/strict";
import test from "node:test";
import { observed, verdict } from "../src/verdict.ts";

const at = "2026-11-22T03:12:07Z";
const say = (sections, missing = {}) => verdict({ at, sections, missing });
const subject = (name, more) => ({ subject: name, kind: name.split("/")[0], act: true, health: "healthy", out: false, since: at, ...more });
const entry = (more) => subject("idc/idc1/entry", { idc: "idc1", ...more });
const dns = (idc1, idc2) => ({ zones: [{ zone: "gslb.", names: [{ name: "api.gslb.", idcs: [{ idc: "idc1", entry: idc1 }, { idc: "idc2", entry: idc2 }] }] }] });

test("nothing is known", () => {
  assert.equal(verdict(undefined).level, "unknown");
  assert.equal(say({}).level, "unknown");
});

test("well, and well as far as is known", () => {
  assert.equal(say({ failover: { subjects: [entry()] } }).headline, "All well");
  assert.equal(say({ failover: {} }, { dns: "the extension dns is not configured" }).headline, "All well");
  assert.equal(say({ failover: {} }, { mesh: "HTTP 503: x" }).headline, "All that is known is well");
});

test("an IDC that is out comes first, and who serves", () => {
  const out = entry({ health: "dead", out: true, why: "connection refused, 5 of 5, 2 sites" });
  const v = say({
    failover: { subjects: [subject("machine/a", { health: "dead", out: true }), out], serving: { out: { "machine/a": {} } } }, dns: dns(0, 10_000),
    alerts: [{ labels: { alertname: "IdcDead", severity: "page" }, status: { state: "active" } }],
  });
  assert.equal(v.level, "bad");
  assert.match(v.headline, /^idc1 entry is out since \d\d:\d\d:07; DNS answers idc2 only$/);
  assert.equal(v.findings[0].why, "connection refused, 5 of 5, 2 sites");
  assert.deepEqual(v.findings.map((f) => f.to), ["idcs", "alerts", "out"]);
});

test("mode observe says what would be", () => {
  const f = { subjects: [entry({ act: false, health: "dead", would_out: true })] };
  assert.match(say({ failover: f }).headline, /would be out: mode observe, nothing is done$/);
  assert.deepEqual(observed(f), ["idc"]);
  assert.deepEqual(observed({ subjects: [entry()] }), []);
});

test("a gray machine is drained, a dead one is out", () => {
  const f = { subjects: [subject("machine/a", { health: "gray", out: true }), subject("machine/b", { health: "dead", out: true })], serving: { out: { "machine/a": { drain: true }, "machine/b": {} } } };
  const texts = say({ failover: f }).findings.map((x) => x.text);
  assert.deepEqual(texts, ["machine/b is out: no new requests go there", "machine/a is drained: requests under way finish"]);
});

test("a diagnosis says more than the evidence; what a person ejects is out since then", () => {
  const machine = subject("machine/a", { health: "dead", out: true, why: "3 in a row" });
  const events = [{ at, kind: "diagnosis", subject: "machine/a", what: "its callers failed first" }, { at, kind: "diagnosis", subject: "machine/b", what: "another" }];
  assert.equal(say({ failover: { subjects: [machine] }, events }).findings[0].why, "its callers failed first");
  const idc = entry({ out: true, held: { action: "eject", by: "ada", why: "INC-1", at: "2026-11-22T03:30:09Z" } });
  const [first] = say({ failover: { subjects: [idc], serving: { idcs: { idc1: { entry: 0 }, idc2: { entry: 10_000 } } } } }).findings;
  assert.match(first.text, /is out since \d\d:30:09; traffic enters by idc2 only$/);
  assert.equal(first.why, "eject by ada: INC-1");
});

test("people's changes are no trouble, silenced alerts neither", () => {
  const v = say({ failover: { holds: [{ subject: "machine/a", action: "hold" }] }, alerts: [{ labels: { alertname: "X", severity: "page" }, status: { state: "suppressed" } }] });
  assert.equal(v.level, "ok");
  assert.equal(v.findings[0].text, "1 hold by people: hold machine/a");
});

test("one alert is told by its summary, several by their names", () => {
  const alert = (alertname) => ({ labels: { alertname, severity: "page" }, annotations: { summary: "entry of idc1 is dead" }, status: { state: "active" } });
  assert.equal(say({ failover: {}, alerts: [alert("IdcDead")] }).headline, "Alert IdcDead: entry of idc1 is dead");
  assert.equal(say({ failover: {}, alerts: [alert("IdcDead"), alert("B")] }).headline, "2 alerts to page somebody: IdcDead, B");
});

test("a drop, a plugin, a probe and a gateway", () => {
  const v = say({
    mesh: { funnels: [{ idc: "idc1", hops: [{ from: "a", to: "b", depth: 1, rate: 1, drop: "lost", text: "a sent, b did not receive" }] }] },
    plugins: { plugins: [{ name: "rules", state: "backoff" }] }, probes: { targets: [{ name: "p", success: false }, { name: "q" }] },
    cluster: { members: [{ name: "gw2", site: "s", state: "lost", since: at }] },
  });
  assert.equal(v.headline, "a sent, b did not receive");
  assert.deepEqual(v.findings.map((f) => f.to), ["funnels", "plugins", "probes", "gateways"]);
});

test("a stray failure does not shout", () => {
  const edge = (rate, errors) => ({ id: "1", idc: "idc1", source: { app: "a" }, destination: { app: "b", version: "v2" }, rate, errors });
  assert.equal(say({ mesh: { edges: [edge(0.02, 0.5)] } }).level, "ok");
  assert.equal(say({ mesh: { edges: [edge(10, 0.3)] } }).headline, "idc1: a → b v2: 30 % of requests fail");
});

test("a mesh that is no longer counted", () => {
  const at = (mesh) => verdict({ at: "2026-11-22T10:02:00.000Z", version: "", gateway: "", refresh_seconds: 2, sections: { failover: {}, mesh: { at: mesh } } });
  assert.match(at("2026-11-22T10:00:50.000Z").headline, /^The mesh is shown as of/);
  assert.equal(at("2026-11-22T10:01:50.000Z").level, "ok");
});

test("those that are not listed count", () => {
  const v = say({ failover: {
    subjects: ["a", "b", "c", "d"].map((n) => ({ subject: `machine/${n}`, kind: "machine", health: "dead", out: true, act: true })),
    subjects_left_out: [{ kind: "machine", act: true, health: "dead", out: true, count: 1000 }, { kind: "machine", act: true, health: "healthy", out: false, count: 9000 }],
  } });
  assert.equal(v.headline, "machine/a, machine/b, machine/c and 1,001 more are out: no new requests go there");
});

test("those of which none is listed are told of", () => {
  const v = say({ failover: {
    subjects: [{ subject: "machine/a", kind: "machine", health: "dead", out: true, act: true }],
    subjects_left_out: [
      { kind: "machine", act: true, health: "dead", out: false, count: 1200 }, { kind: "endpoint", act: false, health: "gray", out: false, count: 1 },
      { kind: "machine", act: true, health: "healthy", out: false, count: 9000 },
    ],
  } });
  assert.deepEqual(v.findings.map((f) => f.text), [
    "machine/a is out: no new requests go there", "1 machine or endpoint is unwell and would be out: mode observe, nothing is done",
    "1,200 machines and endpoints are unwell and still in",
  ]);
});
