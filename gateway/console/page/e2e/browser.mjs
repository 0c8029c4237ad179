// A real Chromium, and pages in it that note whatever goes wrong. `make browser` fetches what this needs.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(new URL("../../../../.cache/browser/", import.meta.url));
const { chromium } = require("playwright-core");

// axe is the source of axe-core, which looks for what keeps people from using a page.
const axe = require.resolve("axe-core/axe.min.js");

const found = process.env.PATH.split(path.delimiter).map((directory) => path.join(directory, "chromium")).find((file) => existsSync(file));

// withBrowser calls f with a Chromium and ends it afterwards, whatever happens.
export async function withBrowser(f) {
  const browser = await chromium.launch({ executablePath: found, args: process.getuid() === 0 ? ["--no-sandbox"] : [] });
  try {
    await f(browser);
  } finally {
    await browser.close();
  }
}

// open opens a page in a context of its own: options are Playwright's. Whatever goes wrong in it is in problems: errors in its
// console, exceptions, requests that fail or are refused, breaches of the Content-Security-Policy. expected are texts of those that are to be.
export async function open(browser, options = {}, expected = []) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  const problems = [];
  const note = (text) => { if (!expected.some((part) => text.includes(part))) problems.push(text); };
  page.on("console", (message) => { if (message.type() === "error") note(`console: ${message.text()} (${message.location().url})`); });
  page.on("pageerror", (error) => note(`exception: ${error.stack ?? error}`));
  page.on("requestfailed", (request) => {
    const reason = request.failure()?.errorText;
    if (reason !== "net::ERR_ABORTED") note(`request: ${request.url()}: ${reason}`); // aborted: the page is left, or no longer wants it
  });
  page.on("response", (response) => { if (response.status() >= 400) note(`answer: ${response.url()}: HTTP ${response.status()}`); });
  await page.addInitScript(() => document.addEventListener("securitypolicyviolation", (event) =>
    console.error(`${event.violatedDirective} forbids ${event.blockedURI} ${event.sample}`)));
  return { context, page, problems };
}

let failed = 0;

// step does one thing and tells how it went. Those that follow are done even when it fails: then the process ends with 1.
export async function step(name, f) {
  const begin = performance.now();
  const took = () => `${((performance.now() - begin) / 1000).toFixed(1)} s`;
  try {
    const figures = await f();
    console.log(`ok    ${name} (${took()})${figures ? `: ${figures}` : ""}`);
  } catch (error) {
    failed++;
    process.exitCode = 1;
    console.log(`FAIL  ${name} (${took()}): ${error.message}\n      ${error.stack?.split("\n").find((line) => line.includes("/e2e/") && !line.includes("browser.mjs"))?.trim()}`);
  }
  return failed === 0;
}

// expect throws unless it is so.
export function expect(so, what) {
  if (!so) throw new Error(what);
}

// clean throws when something went wrong in a page.
export function clean({ problems }) {
  expect(problems.length === 0, `${problems.length} problems in the page:\n${problems.slice(0, 20).join("\n")}`);
}

// accessible throws when axe finds that somebody can't use the page.
export async function accessible({ page }, where) {
  // Scripts from elsewhere are against the page's policy, which is not what is looked at here: so axe comes by the debugger.
  await page.evaluate(`${readFileSync(axe, "utf8")}; undefined`);
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] }));
  const told = violations.map((v) => `${v.id}: ${v.help}\n${v.nodes.slice(0, 3).map((n) => `    ${n.html.slice(0, 200)}\n    ${n.failureSummary?.split("\n").slice(1).join("; ")}`).join("\n")}`);
  expect(told.length === 0, `${where}: ${told.join("\n")}`);
}
