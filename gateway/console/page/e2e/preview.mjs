// What is confirmed is what was previewed, and the token stays in the page. Arguments: the console's URL, and a token of an operator.
import { clean, expect, open, step, withBrowser } from "./browser.mjs";
import { ask, change, dialog, give } from "./dialog.mjs";

const [url, token] = process.argv.slice(2);

// done are the changes that were not only tried.
const done = (sent) => sent.filter((to) => !to.includes("dry_run"));
const button = (page, name) => dialog(page).getByRole("button", { name, exact: true });

await withBrowser(async (browser) => {
  const one = await open(browser, {}, ["HTTP 400", "status of 400"]); // a condition that cannot be
  const { page } = one;
  const sent = [];
  page.on("request", (request) => { if (request.method() !== "GET") sent.push(request.url()); });
  await page.goto(url);
  await page.locator("#idcs").getByText("idc2").first().waitFor();
  await step("a field that is changed wants a new preview", () => changed(page, sent));
  await step("one that is changed while the preview is made does, too", () => meanwhile(page, sent));
  await step("a shift has conditions, as on the command line", () => conditions(page));
  await step("the token is nowhere but in the page", () => kept(page));
  await step("the storages' own pages run nothing but their own scripts", () => storages(one));
  await step("nothing went wrong", async () => clean(one));
});

async function share(page, percent) {
  await dialog(page).getByLabel(/Share of idc2/).fill(percent);
}

async function changed(page, sent) {
  await ask(page, "Shift traffic of idc2");
  await give(page, token);
  await share(page, "20");
  await button(page, "Preview").click();
  await button(page, "Shift it").waitFor();
  for (const change of [() => share(page, "30"), () => dialog(page).getByLabel("Why").fill("other"), () => dialog(page).getByLabel("For how long").fill("31m"),
    () => dialog(page).getByLabel("Hard:").check(), () => dialog(page).getByLabel("Abort if").fill("UF=2%")]) {
    await change();
    expect(await button(page, "Shift it").count() === 0, "it can be confirmed after a field was changed");
    expect(await dialog(page).getByText("What will happen").count() === 0, "the preview of something else is shown");
    await button(page, "Preview").click();
    await button(page, "Shift it").waitFor();
  }
  await page.keyboard.press("Escape");
  expect(done(sent).length === 0, `it was done: ${done(sent)}`);
}

async function meanwhile(page, sent) {
  let asked, answer;
  const under = new Promise((resolve) => { asked = resolve; }), held = new Promise((resolve) => { answer = resolve; });
  const slow = async (route) => {
    asked();
    await held;
    await route.continue();
  };
  await page.route("**/failover/shift?dry_run=true", slow);
  await ask(page, "Shift traffic of idc2");
  await share(page, "20");
  await button(page, "Preview").click();
  await under;
  await share(page, "90");
  const answered = page.waitForResponse((response) => response.url().includes("dry_run"));
  answer();
  await answered;
  await button(page, "Preview").waitFor();
  expect(await dialog(page).getByText("What will happen").count() === 0, "the preview of what was asked for before is shown");
  await page.unroute("**/failover/shift?dry_run=true", slow);
  await button(page, "Preview").click();
  await button(page, "Shift it").waitFor();
  expect((await dialog(page).innerText()).includes("90 %"), "the preview is not of what stands in the field");
  await page.keyboard.press("Escape");
  expect(done(sent).length === 0, `it was done: ${done(sent)}`);
}

async function conditions(page) {
  await ask(page, "Shift traffic of idc2");
  await share(page, "20");
  const refused = async (text, why) => {
    await dialog(page).getByLabel("Abort if").fill(text);
    await button(page, "Preview").click();
    await dialog(page).getByRole("alert").getByText(why).waitFor();
  };
  await refused("nonsense", "“nonsense” must be one of error_ratio=5%");
  await refused("error_ratio=500%", "abort_if::error_ratio: 5: must be between 0 and 1");
  await refused("XX=5%", "abort_if::flags::XX: no response flag of Envoy's");
  await dialog(page).getByLabel("Abort if").fill("error_ratio=5%, UF=1%, p99=800ms");
  await change(page, "It is aborted when more than 5 % fail, or more than 1 % have UF, or p99 is above 800 ms, of at least 100 requests", "Shift it");
  await ask(page, "End the shift");
  await change(page, "ends; weights are again", "End the shift");
}

async function kept(page) {
  await page.getByRole("button", { name: "oncall, operator" }).waitFor();
  const stored = await page.evaluate(async () => JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie, name, await indexedDB.databases(), await caches.keys()]));
  expect(stored === '[{},{},"","",[],[]]', `the browser keeps ${stored}`);
  await page.reload();
  await page.locator("#idcs").getByText("idc2").first().waitFor();
  await ask(page, "Shift traffic of idc2");
  await dialog(page).getByLabel("Token", { exact: true }).waitFor();
  await page.keyboard.press("Escape");
}

// storages looks whether the pages that others made can be used under the policy they are served with, and what it keeps from running.
async function storages({ context, problems }) {
  for (const path of ["vmui/", "logs/select/vmui/"]) {
    const page = await context.newPage();
    page.on("console", (message) => { if (/Content.Security.Policy/i.test(message.text())) problems.push(`${path}: ${message.text()}`); });
    page.on("pageerror", (error) => problems.push(`${path}: ${error}`));
    const answer = await page.goto(url + path);
    expect(answer.ok(), `${path} answers ${answer.status()}`);
    await page.getByRole("button").first().waitFor();
    await page.getByRole("textbox").first().waitFor();
    clean({ problems });
    expect(!await page.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "window.pwned = 1";
      document.body.append(script);
      return "pwned" in window;
    }), `${path} runs a script that was put into it`);
    problems.length = 0; // that it was kept from running is told
    await page.close();
  }
}
