// The holder of a client certificate is asked for no token. Arguments: the console's URL, and a file with a certificate and its key.
import { clean, open, step, withBrowser } from "./browser.mjs";
import { ask, change } from "./dialog.mjs";

const [url, file] = process.argv.slice(2);

await withBrowser(async (browser) => {
  const one = await open(browser, { ignoreHTTPSErrors: true, clientCertificates: [{ origin: new URL(url).origin, certPath: file, keyPath: file }] });
  const { page } = one;
  await step("a hold is made and ended by a client certificate alone", async () => {
    await page.goto(url);
    await page.getByRole("button", { name: "chief, operator" }).waitFor();
    await ask(page, "Eject machine/m1");
    await change(page, "machine/m1: eject", "Eject it");
    await page.locator("#holds").getByText("eject machine/m1 by chief").waitFor();
    await ask(page, "Release the hold of machine/m1");
    await change(page, "the eject by chief ends", "End the hold");
  });
  await step("nothing went wrong", async () => clean(one));
});
