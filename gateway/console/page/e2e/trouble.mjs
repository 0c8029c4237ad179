// The page when what it is told is bad: texts that want to be more than text, another clock, sections that are missing, answers that are late or none. Argument: the
// URL of a gateway's console, whose page it is.
import { clean, expect, open, step, withBrowser } from "./browser.mjs";
import { detail, explain, hostile, overview } from "./data.mjs";
import { serve } from "./fixture.mjs";

const [gateway] = process.argv.slice(2);
const small = { services: 30, edges: 80 };
const hour = 3_600_000;

let say = () => overview(small);
let delay = 0;
let under = 0; // answers under way
let most = 0;
const fixture = await serve(gateway, {
  "/api/v1/overview": async () => {
    most = Math.max(most, ++under);
    await new Promise((resolve) => setTimeout(resolve, delay));
    under--;
    return say();
  },
  "/api/v1/mesh/edge": (url) => detail(say(), url.searchParams.get("id"), { text: hostile[url.searchParams.get("id").charCodeAt(15) % hostile.length] }),
  "/api/v1/explain": explain,
});

await withBrowser(async (browser) => {
  const one = await open(browser);
  for (const text of hostile) await step(`text stays text: ${JSON.stringify(text.slice(0, 40))}`, () => harmless(one, text));
  say = () => overview(small);
  await step("the gateway's clock counts, an hour away from this one's", () => otherClock(one));
  await step("what is missing is said, the rest is shown", () => missing(one));
  await step("a slow gateway is asked once at a time", () => slow(one));
  await step("a page that nobody sees does not ask, and says how old it is when it is seen again", () => hidden(one));
  await step("nothing went wrong", async () => clean(one));
  await step("a gateway that is gone is said to be, and heard again", () => gone(browser));
});
fixture.close();

// shown is when the page has an answer.
async function shown(page) {
  await page.locator('#verdict:not([data-level="unknown"])').waitFor();
}

async function harmless(one, text) {
  const named = overview({ ...small, text, name: (service) => service % 7 === 1 ? `${text}${service}` : `service-${service}` });
  for (const e of named.sections.mesh.edges) Object.assign(e, { flags: { [text]: 3, UF: 1 }, protocol: text });
  say = () => named;
  one.problems.length = 0;
  await seen(one);
  clean(one);
}

async function seen({ page }) {
  await page.goto(fixture.url);
  await shown(page);
  await check(page);
  await page.locator("[data-edge]").first().focus();
  await page.keyboard.press("Enter");
  await page.locator("#edge").getByRole("region").first().waitFor();
  await check(page);
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Table" }).click();
  await page.locator("table").first().waitFor();
  await check(page);
}

async function check(page) {
  const found = await page.evaluate(() => ({
    ran: "pwned" in window,
    elements: document.querySelectorAll("img, iframe, object, embed, form[action], body script, [onerror], [onload], [href^='javascript:' i]").length,
    control: /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u0085\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/.test(document.body.innerText),
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    long: document.body.innerText.length,
  }));
  expect(!found.ran, "a script from the mesh has run");
  expect(found.elements === 0, `${found.elements} elements come from the mesh`);
  expect(!found.control, "control characters are shown");
  expect(found.wide <= 0, `the page is ${found.wide} px wider than the window`);
  expect(found.long < 100_000, `the page shows ${found.long} characters`);
}

async function otherClock({ page }) {
  for (const away of [hour, -hour]) {
    say = () => overview({ ...small, now: Date.now() + away });
    await page.reload();
    await shown(page);
    await page.locator("#out").getByText("3 min ago").first().waitFor();
  }
}

async function missing({ page }) {
  for (const name of ["mesh", "failover", "dns", "probes", "plugins", "alerts", "silences", "events", "cluster"]) {
    say = () => overview({ ...small, without: [name] });
    await page.reload();
    await page.locator("#missing").getByText(name, { exact: false }).first().waitFor();
    if (name !== "failover") expect((await page.locator("#out").innerText()).includes("machine/web-17"), `without ${name} nothing is told of what is out`);
  }
  say = () => overview({ ...small, without: ["mesh", "dns", "probes", "plugins", "alerts", "silences", "events", "cluster"] });
  await page.reload();
  await page.locator("#out").getByText("machine/web-17").first().waitFor();
}

async function slow({ page }) {
  say = () => ({ ...overview(small), refresh_seconds: 1 });
  delay = 1500;
  most = 0;
  const heard = () => page.waitForResponse((response) => response.url().endsWith("/api/v1/overview"));
  await heard();
  await heard();
  await page.locator("#filter").fill("ingress"); // works meanwhile
  delay = 0;
  expect(most === 1, `${most} requests at once`);
  await page.locator("#filter").fill("");
}

async function hidden({ page }) {
  const see = (hidden) => page.evaluate((value) => {
    Object.defineProperty(document, "hidden", { value, configurable: true });
    Object.defineProperty(document, "visibilityState", { value: value ? "hidden" : "visible", configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await see(true);
  await page.waitForTimeout(1000); // what was under way
  const before = fixture.asked["/api/v1/overview"];
  await page.waitForTimeout(4000);
  expect(fixture.asked["/api/v1/overview"] === before, `it asked ${fixture.asked["/api/v1/overview"] - before} times`);
  const again = page.waitForResponse((response) => response.url().endsWith("/api/v1/overview"));
  delay = 3000;
  await see(false);
  await page.locator("#verdict").getByText("This is how it stood").waitFor({ timeout: 2500 }); // before the answer
  expect(/At \d\d:\d\d:\d\d: /.test(await page.locator("#verdict .headline").innerText()), "the headline does not say when it was true");
  delay = 0;
  await again;
  await page.locator("#verdict").getByText("This is how it stood").waitFor({ state: "detached" });
}

async function gone(browser) {
  const { page, context } = await open(browser);
  await page.goto(fixture.url);
  await shown(page);
  await page.route("**/api/v1/overview", (route) => route.abort());
  await page.locator("#verdict").getByText("Stale").waitFor();
  await page.unroute("**/api/v1/overview");
  await page.locator("#verdict").getByText("Stale").waitFor({ state: "detached" });
  await context.close();
}
