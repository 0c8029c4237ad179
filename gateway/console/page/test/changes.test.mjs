// What is sent for what was asked for.

import assert from "node:assert/strict";
import test from "node:test";
import { conditions, send } from "../src/changes.ts";

test("halfway is between what is served and what is asked for", async () => {
  let sent;
  globalThis.fetch = async (_, request) => {
    sent = JSON.parse(request.body);
    return new Response("{}");
  };
  const steps = async (from, percent) => {
    await send({ kind: "shift", idc: "idc1" }, { for: "30m", why: "", hard: false, percent, from, steps: true, abortIf: "", long: false }, true);
    return [sent.to, sent.steps];
  };
  assert.deepEqual(await steps(10, 0), [{ idc1: 0 }, [{ percent: 5, for: "1m" }]]); // never more than before to what is to be empty
  assert.deepEqual(await steps(33.34, 100), [{ idc1: 100 }, [{ percent: 66.67, for: "1m" }]]);
  assert.deepEqual(await steps(50, 25.01), [{ idc1: 25.01 }, [{ percent: 37.51, for: "1m" }]]);
});

test("a shift is aborted by the conditions that the command line has", () => {
  assert.deepEqual(conditions("error_ratio=5%, p99=800ms,UF=1% min_requests=20"), { error_ratio: 0.05, p99_ms: 800, flags: { UF: 0.01 }, min_requests: 20 });
  assert.deepEqual(conditions("p99=1.5s,error_ratio=0.25"), { p99_ms: 1500, error_ratio: 0.25, flags: {} });
  assert.equal(conditions(" , "), undefined);
  for (const text of ["error_ratio", "error_ratio=5ms", "p99=800", "p99=5%", "uf=1%", "UF=1s", "min_requests=5%", "constructor=1", "error_ratio=-1%", "x"]) {
    assert.throws(() => conditions(text), /Abort if: “.*” must be one of error_ratio=5%/, text);
  }
});
