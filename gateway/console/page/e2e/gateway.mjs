// The page of a real gateway, and what people change by it. Arguments: the console's URL, and a token of an operator. The gateway finds machine/m1 dead.
import { accessible, clean, expect, open, step, withBrowser } from "./browser.mjs";
import { ask, change, dialog, give } from "./dialog.mjs";

const [url, token] = process.argv.slice(2);
const others = 49; // pages beside the one that is looked at
const every = 2000;

await withBrowser(async (browser) => {
  const one = await open(browser, {}, ["HTTP 401", "status of 401", "HTTP 403", "status of 403"]); // a wrong token is to be refused
  const { page } = one;
  await step("the page is there, and tells what is wrong", async () => {
    await page.goto(url);
    await page.locator("#out").getByText("machine/m1").first().waitFor();
    expect((await page.title()).includes("Lockkeeper"), "it has another title");
    return (await page.locator("#verdict .headline").innerText()).replaceAll("\n", " ");
  });
  await step("a wrong token is refused, with the reason", () => wrong(page));
  await step("a hold is tried, made and ended", () => hold(page));
  await step("a shift is tried, made and ended", () => shift(page));
  await step("an alert is silenced, and no longer", () => silence(page));
  for (const colorScheme of ["light", "dark"]) {
    await step(`everybody can use it, ${colorScheme}`, async () => {
      await page.emulateMedia({ colorScheme });
      await accessible(one, colorScheme);
    });
  }
  await step(`${others + 1} pages are served`, () => crowd(page));
  await step("nothing went wrong", async () => clean(one));
});

async function wrong(page) {
  await ask(page, "Eject machine/m1");
  await give(page, "not-the-token-0123456789");
  await dialog(page).getByRole("alert").waitFor();
  const reason = await dialog(page).getByRole("alert").innerText();
  await page.keyboard.press("Escape");
  await dialog(page).waitFor({ state: "detached" });
  return reason.replaceAll("\n", " ");
}

async function hold(page) {
  await ask(page, "Eject machine/m1");
  await give(page, token);
  await change(page, "machine/m1: eject", "Eject it");
  await page.locator("#holds").getByText("eject machine/m1 by oncall").waitFor();
  await page.locator("#events").getByText("by oncall").first().waitFor();
  await ask(page, "Release the hold of machine/m1");
  await change(page, "the eject by oncall ends", "End the hold");
  await page.locator("#holds").getByText("machine/m1").waitFor({ state: "detached" });
}

async function shift(page) {
  await ask(page, "Shift traffic of idc2");
  await dialog(page).getByLabel(/Share of idc2/).fill("20");
  await change(page, "served now", "Shift it");
  await page.locator("#idcs").getByText("20 %").first().waitFor();
  await page.locator("#verdict").getByText(/Shift .* of oncall/).waitFor();
  await ask(page, "End the shift");
  await change(page, "ends; weights are again", "End the shift");
  await page.locator("#verdict").getByText(/Shift .* of oncall/).waitFor({ state: "detached" });
}

async function silence(page) {
  await page.getByRole("button", { name: /^Silence / }).first().click();
  await change(page, "nobody is told", "Silence it");
  await page.locator("#alerts").getByText("by oncall,").first().waitFor();
  await page.getByRole("button", { name: /^End the silence/ }).first().click();
  await change(page, "The silence ends now", "End the silence");
}

// crowd asks as many pages do, and wants each to have its answer in time.
async function crowd(page) {
  const took = [];
  const statuses = {};
  const ask = async (tag) => {
    const begin = performance.now();
    const answer = await fetch(new URL("api/v1/overview", url), { headers: { "Accept-Encoding": "gzip", ...(tag ? { "If-None-Match": tag } : {}) } });
    await answer.arrayBuffer();
    took.push(performance.now() - begin);
    statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
    return answer.headers.get("etag") ?? tag;
  };
  await Promise.all(Array.from({ length: others }, async (_, n) => {
    await new Promise((resolve) => setTimeout(resolve, n * every / others));
    let tag = await ask();
    for (let i = 0; i < 2; i++) {
      await new Promise((resolve) => setTimeout(resolve, every));
      tag = await ask(tag);
    }
  }));
  await page.waitForResponse((response) => response.url().endsWith("/api/v1/overview"));
  expect(Object.keys(statuses).every((status) => ["200", "304"].includes(status)), `answers ${JSON.stringify(statuses)}`);
  took.sort((a, b) => a - b);
  const share = (part) => took[Math.floor(part * (took.length - 1))].toFixed(1);
  return `${took.length} answers ${JSON.stringify(statuses)}, median ${share(0.5)} ms, p99 ${share(0.99)} ms`;
}
