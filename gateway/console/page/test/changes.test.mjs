// What is sent for what was asked for.

import assert from "node:assert/strict";
import test from "node:test";
import { send } from "../src/changes.ts";

test("halfway is between what is served and what is asked for", async () => {
  let sent;
  globalThis.fetch = async (_, request) => {
    sent = JSON.parse(request.body);
    return new Response("{}");
  };
  const steps = async (from, percent) => {
    await send({ kind: "shift", idc: "idc1" }, { for: "30m", why: "", hard: false, percent, from, steps: true, long: false }, true);
    return [sent.to, sent.steps];
  };
  assert.deepEqual(await steps(10, 0), [{ idc1: 0 }, [{ percent: 5, for: "1m" }]]); // never more than before to what is to be empty
  assert.deepEqual(await steps(33.34, 100), [{ idc1: 100 }, [{ percent: 66.67, for: "1m" }]]);
  assert.deepEqual(await steps(50, 25.01), [{ idc1: 25.01 }, [{ percent: 37.51, for: "1m" }]]);
});
