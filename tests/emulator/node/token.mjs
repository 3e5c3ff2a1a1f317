// The page of an emulator whose control API needs the token "right": node token.mjs URL CHROMIUM
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [, , url, executablePath] = process.argv;
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const open = async address => {
  const page = await (await browser.newContext()).newPage();
  // What the policy of the page refuses is told there.
  page.on("console", message => { if (/Content Security Policy|TrustedHTML/.test(message.text())) throw new Error(message.text()); });
  await page.goto(address);
  return page;
};

const asked = await open(url);
await asked.locator("#token-form").waitFor();
assert.equal(await asked.locator("#silence").isVisible(), false);
await asked.fill("#token", "wrong");
await asked.click("#token-form button");
await asked.waitForTimeout(1500);
assert.equal(await asked.locator("#token-form").isVisible(), true);
await asked.fill("#token", "right");
await asked.click("#token-form button");
await asked.locator("#keys b", { hasText: "default" }).waitFor();
assert.equal(await asked.locator("#token-form").isVisible(), false);

const told = await open(url + "#token=right");
await told.locator("#keys b", { hasText: "default" }).waitFor();
// It does not stay where a picture or a bookmark would show it.
assert.equal(told.url(), url);
await browser.close();
