// The page beside a mesh of 600 workloads and 1,000 edges. Argument: the URL of a gateway's console, whose page it is; what it says of the mesh is made up here.
import { accessible, clean, expect, open, step, withBrowser } from "./browser.mjs";
import { detail, explain, fleet, overview } from "./data.mjs";
import { serve } from "./fixture.mjs";

const [gateway] = process.argv.slice(2);
const far = 5; // times a budget: only then a test fails, for this machine may be busy
const updates = 6;

let say = () => overview();
const fixture = await serve(gateway, {
  "/api/v1/overview": () => say(),
  "/api/v1/mesh/edge": (url) => detail(say(), url.searchParams.get("id")),
  "/api/v1/explain": explain,
  "/api/v1/failover": (url) => fleet(asked(url)).failover,
  "/api/v1/nodes": (url) => fleet(asked(url)).nodes,
});
const asked = ({ searchParams }) => ({ find: searchParams.get("find"), worst: Number(searchParams.get("worst")) });

await withBrowser(async (browser) => {
  const one = await open(browser);
  await step("first paint within 1 s", () => firstPaint(one));
  await step("an update takes 100 ms of the main thread at most", () => update(one));
  await step("everything can be reached by keyboard", () => keyboard(one));
  await step("an edge is opened, read and closed by keyboard", () => edge(one));
  for (const colorScheme of ["light", "dark"]) {
    await step(`everybody can use it, ${colorScheme}`, async () => {
      await one.page.emulateMedia({ colorScheme });
      await look(one, colorScheme);
    });
  }
  await step("of 10,000 machines the worst are shown, and a filter finds the others", () => many(one));
  await step("nothing went wrong", async () => clean(one));
});
fixture.close();

async function firstPaint({ page }) {
  await page.addInitScript(() => {
    new MutationObserver((_, observer) => {
      if (!document.querySelector("[data-edge]")) return;
      observer.disconnect();
      requestAnimationFrame(() => { window.drawn = performance.now(); });
    }).observe(document, { childList: true, subtree: true });
  });
  await page.goto(fixture.url);
  await page.waitForFunction(() => window.drawn);
  const [paint, drawn] = await page.evaluate(() => [performance.getEntriesByName("first-contentful-paint")[0].startTime, window.drawn]);
  expect(paint < far * 1000, `the first paint came after ${paint} ms`);
  return `${paint.toFixed(0)} ms, with the mesh drawn ${drawn.toFixed(0)} ms`;
}

async function update({ page, context }) {
  const debug = await context.newCDPSession(page);
  await debug.send("Performance.enable", { timeDomain: "threadTicks" }); // its own time, however busy the machine is
  const busy = async () => (await debug.send("Performance.getMetrics")).metrics.find((m) => m.name === "TaskDuration").value * 1000;
  await page.evaluate(() => {
    window.longest = 0;
    new PerformanceObserver((list) => { for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration); }).observe({ type: "longtask" });
  });
  let seed = 1;
  say = () => ({ ...overview({ seed: ++seed }), refresh_seconds: 1 });
  const heard = () => page.waitForResponse((response) => response.url().endsWith("/api/v1/overview"));
  await heard();
  const begin = await busy();
  for (let i = 0; i < updates; i++) await heard();
  const each = (await busy() - begin) / updates;
  const longest = await page.evaluate(() => window.longest);
  const last = overview();
  say = () => last;
  await heard();
  expect(each < far * 100, `an update takes ${each} ms`);
  return `${each.toFixed(0)} ms each of ${updates}; the longest task ${longest ? longest.toFixed(0) : "under 50"} ms`;
}

// keyboard wants Tab to come by everything that can be used, and each to be marked as it has the focus.
async function keyboard({ page }) {
  await page.evaluate(() => { document.activeElement?.blur(); });
  const seen = new Set();
  for (let i = 0; i < 600; i++) {
    await page.keyboard.press("Tab");
    const now = await page.evaluate(() => {
      const at = document.activeElement;
      if (!at || at === document.body) return "";
      at.dataset.reached = "1";
      const style = getComputedStyle(at);
      return [at.outerHTML.slice(0, 120), style.outlineStyle !== "none" || style.boxShadow !== "none" || at.namespaceURI.endsWith("svg") ? "" : "unmarked"].join("\t");
    });
    if (!now) break;
    expect(!now.endsWith("unmarked"), `with the focus nothing marks ${now}`);
    seen.add(now);
  }
  const missed = await page.evaluate(() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]
    .filter((e) => e.tabIndex >= 0 && !e.disabled && e.checkVisibility({ visibilityProperty: true }) && !e.dataset.reached).map((e) => e.outerHTML.slice(0, 160)));
  expect(missed.length === 0, `Tab does not come by ${missed.length}: ${missed.slice(0, 5).join("\n")}`);
  return `${seen.size} stops`;
}

async function edge({ page }) {
  await page.locator('[data-edge][tabindex="0"]').first().focus();
  const worst = await page.evaluate(() => document.activeElement.getAttribute("aria-label"));
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await page.locator("#edge").getByText("Connection_refused").first().waitFor();
  const title = await page.locator("#edge-title").innerText();
  await page.keyboard.press("Escape");
  await page.locator("#edge").waitFor({ state: "detached" });
  expect(await page.evaluate(() => document.activeElement !== document.body), "the focus is lost when an edge is closed");
  await page.keyboard.press("/");
  await page.locator("#filter:focus").waitFor();
  await page.keyboard.type("service-001");
  await page.locator("#mesh").getByText(/^\d+ edges of 1,?000/).waitFor();
  await page.keyboard.press("Escape");
  return `${worst}; then ${title}`;
}

async function many({ page }) {
  say = () => {
    const small = overview({ services: 10, edges: 20 });
    return { ...small, sections: { ...small.sections, ...fleet() } };
  };
  await page.reload();
  await page.locator("#out").getByText("9,900 of 10,001 machines and endpoints are well and in.").waitFor();
  await page.locator("#verdict").getByText(/ and 98 more are out/).waitFor();
  await page.locator("#envoys").getByText("10,000 Envoys").waitFor();
  await page.locator("#envoys").getByText("…and 9,800 more, of which no less arrives").waitFor();
  await page.locator("#filter").fill("host-04242");
  await page.getByRole("button", { name: "Hold machine/host-04242 as it is" }).waitFor();
  await page.locator("#filter").fill("host-042");
  await page.locator("#out").getByText("…and 50 more match").waitFor();
  await page.locator("#filter").fill("~09999");
  await page.locator("#envoys").getByText("sidecar~09999").waitFor();
  await page.locator("#filter").fill("");
  await page.locator("#out").getByText("9,900 of 10,001").waitFor();
}

// look has axe look at the page in all its forms.
async function look(one, how) {
  const { page } = one;
  await accessible(one, `${how}, graph`);
  await page.getByRole("button", { name: "Table" }).click();
  await accessible(one, `${how}, table`);
  await page.getByRole("button", { name: "Graph" }).click();
  await page.locator("[data-edge]").first().focus();
  await page.keyboard.press("Enter");
  await page.locator("#edge").getByText("Connection_refused").first().waitFor();
  await accessible(one, `${how}, edge`);
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Help" }).click();
  await accessible(one, `${how}, help`);
  await page.keyboard.press("Escape");
}
