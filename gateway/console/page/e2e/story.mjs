// Looks at the page while the demo's scene "story" goes on. Each line of standard input names a chapter; it is answered with a line: ok and when, or what the page does not tell.
// Arguments: the console's URL, and a directory for pictures, which may be empty.
import path from "node:path";
import { createInterface } from "node:readline";
import { clean, open, withBrowser } from "./browser.mjs";

const [url, screens] = process.argv.slice(2);
const patience = 120_000; // ms, for the page to tell

const settles = 5000; // ms, for what comes after the first sight: alerts, shares, the timeline

// What the page must show, by chapter: texts of its parts.
const chapters = {
  telemetry: [
    ["#verdict", /All well/],
    ["#mesh", /idc1[^]*ingress[^]*shop[^]*orders[^]*idc2[^]*ingress/],
    ["#funnels", /idc1[^]*shop[^]*idc2/],
    ["#idcs", /idc1[^]*50 %[^]*idc2[^]*50 %/],
    ["#probes", /Machines: 6 of 6 answer/],
    ["#alerts", /No alert is on/],
    ["#out", /Nothing is out/],
  ],
  alert: [
    ["#verdict", /[Aa]lert[^\n]*: UpstreamConnectionFailure|Alert UpstreamConnectionFailure: /],
    ["#verdict", /idc2: frontend → backend v2: \d+ % of/],
    ["#alerts", /UpstreamConnectionFailure[^]*frontend-v1/],
  ],
  machine: [
    ["#verdict", /machine\/m2 is out/],
    ["#out", /machine\/m2 idc1 dead, out[^]*refused/],
    ["#probes", /Machines: 5 of 6 answer[^]*m2/],
    ["#alerts", /MachineEjected/],
    ["#events", /ejected\s+machine\/m2 taken out/],
  ],
  idc: [
    ["#verdict", /idc1 entry is out since [\d:]+; DNS answers idc2 only/],
    ["#idcs", /idc1[^]*0 %[^]*idc2[^]*100 %/],
    ["#alerts", /IdcDead/],
    ["#events", /weights\s+idc\/idc2\/entry 50 % → 100 %/],
  ],
  recovery: [
    ["#verdict", /All well/],
    ["#idcs", /idc1[^]*50 %[^]*idc2[^]*50 %/],
    ["#probes", /Machines: 6 of 6 answer/],
    ["#alerts", /No alert is on/],
    ["#out", /Nothing is out/],
    ["#events", /returned\s+idc\/idc1\/entry put back[^]*returned\s+machine\/m2 put back/],
  ],
};

await withBrowser(async (browser) => {
  const one = await open(browser, { viewport: { width: 1440, height: 1000 } });
  await one.page.goto(url);
  for await (const chapter of createInterface({ input: process.stdin })) {
    const begin = performance.now();
    let answer;
    try {
      await told(one.page, chapters[chapter]);
      answer = `ok, ${((performance.now() - begin) / 1000).toFixed(1)} s later`;
      await one.page.waitForTimeout(settles);
      if (chapter === "alert") await opened(one.page);
      await picture(one.page, chapter);
      clean(one);
    } catch (error) {
      answer = String(error.message ?? error).replaceAll("\n", " | ");
      await picture(one.page, `${chapter}-failed`);
      await one.page.keyboard.press("Escape");
    }
    console.log(answer);
  }
});

// told waits until all parts of the page say what they should.
async function told(page, wanted) {
  const deadline = performance.now() + patience;
  for (;;) {
    let missing = [];
    for (const [part, words] of wanted) {
      const text = await page.locator(part).evaluate((e) => e.innerText.replaceAll("\n", " ") + " " + [...e.querySelectorAll("svg text")].map((t) => t.textContent).join(" ")).catch(() => "");
      if (!words.test(text)) missing.push(`${part} does not say ${words}: ${text.slice(0, 300)}`);
    }
    if (missing.length === 0) return;
    if (performance.now() > deadline) throw new Error(missing.join("; "));
    await page.waitForTimeout(200);
  }
}

// opened looks into the edge that fails: what its flag means, its versions, the requests.
async function opened(page) {
  await page.locator('[data-edge][aria-label^="frontend → backend v2"][aria-label*="UF"]').focus();
  await page.keyboard.press("Enter");
  await told(page, [["#edge", /UF[^]*connect/i], ["#edge", /v1 → v1[^]*v1 → v2/], ["#edge", /GET.*\/closed\//]]);
  await page.locator("#edge summary").filter({ hasText: "/closed/" }).first().click();
  await told(page, [["#edge", /refused/i]]);
  await picture(page, "edge");
  await page.keyboard.press("Escape");
  await page.locator("#edge").waitFor({ state: "detached" });
}

async function picture(page, name) {
  if (!screens) return;
  if (name === "recovery") await page.locator("#events").screenshot({ path: path.join(screens, "timeline.png"), animations: "disabled" });
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: path.join(screens, `${name}.png`), animations: "disabled" });
}
