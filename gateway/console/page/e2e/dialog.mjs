// How a change is asked for.

// ask presses a button that asks for a change.
export async function ask(page, label) {
  await page.getByRole("button", { name: label, exact: true }).first().click();
}

export function dialog(page) {
  return page.getByRole("dialog");
}

// give gives a token to who asks for one.
export async function give(page, text) {
  await dialog(page).getByLabel("Token", { exact: true }).fill(text);
  await dialog(page).getByRole("button", { name: "Use it" }).click();
}

// change tries a change, looks at what is said it will do, and does it.
export async function change(page, preview, does) {
  await dialog(page).getByLabel("Why").fill("test");
  await dialog(page).getByRole("button", { name: "Preview" }).click();
  await dialog(page).getByText(preview).first().waitFor();
  await dialog(page).getByRole("button", { name: does }).click();
  await dialog(page).waitFor({ state: "detached" });
  await page.locator(".said").getByText("Done").waitFor();
}
