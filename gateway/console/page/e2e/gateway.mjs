// The page of a real gateway. Argument: the console's URL.
import { accessible, clean, expect, open, step, withBrowser } from "./browser.mjs";

const [url] = process.argv.slice(2);

await withBrowser(async (browser) => {
  const first = await open(browser);
  await step("the page is there and asks again", async () => {
    await first.page.goto(url);
    await first.page.getByRole("heading", { level: 1 }).waitFor();
    for (let i = 0; i < 3; i++) await first.page.waitForResponse((response) => response.url().includes("/api/v1/"));
    expect((await first.page.title()).includes("Lockkeeper"), "it has another title");
  });
  for (const colorScheme of ["light", "dark"]) {
    await step(`everybody can use it, ${colorScheme}`, async () => {
      await first.page.emulateMedia({ colorScheme });
      await accessible(first, colorScheme);
    });
  }
  await step("nothing went wrong", async () => clean(first));
});
