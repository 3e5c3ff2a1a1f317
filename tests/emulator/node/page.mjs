// The page in a browser: node page.mjs URL CHROMIUM [FOLDER for pictures]
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [, , url, executablePath, folder] = process.argv;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });

async function open(options = {}) {
  // axe is put into the page as a script, which the page's own policy forbids.
  const context = await browser.newContext({ bypassCSP: true, permissions: ["clipboard-read", "clipboard-write"], ...options });
  const page = await context.newPage();
  page.on("pageerror", error => { throw error; });
  page.on("dialog", dialog => dialog.accept());
  await page.goto(url);
  await page.locator("#containers tbody tr").first().waitFor();
  return page;
}

async function accessible(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  assert.deepEqual(found.violations.map(it => [it.id, it.nodes.map(node => node.html)]), []);
}

for (const [name, colorScheme, width] of [["light", "light", 1280], ["dark", "dark", 1280], ["phone", "light", 390], ["phone-dark", "dark", 390]]) {
  const page = await open({ colorScheme, viewport: { width, height: 900 } });
  if (folder) await page.screenshot({ path: `${folder}/${name}.png`, fullPage: width < 800 ? false : true });
  for (const details of await page.locator("section > details").all()) await details.evaluate(it => { it.open = true; });
  await accessible(page);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, `${name}: it scrolls sideways`);
  await page.context().close();
}

const page = await open();
const call = (name, body) => page.evaluate(([name, body]) => ask("POST", name, body), [name, body]);
const text = id => page.locator(id).innerText();

// What is selected and what has the focus survive an update.
await page.locator("#requests button").first().focus();
const focused = await page.evaluate(() => document.activeElement.dataset.number);
await page.evaluate(() => { window.kept = document.querySelector("#containers b"); getSelection().selectAllChildren(window.kept); });
const before = await page.locator("#requests tbody tr").count();
await page.evaluate(async () => {
  const { key } = JSON.parse(await ask("GET", "key"));
  await fetch("/api/v1/containers", { headers: { Authorization: "Bearer " + key } });
});
await page.locator("#requests tbody tr").nth(before).waitFor();
assert.deepEqual(
  await page.evaluate(() => [getSelection().toString(), window.kept.isConnected, document.activeElement.dataset.number]),
  ["orders", true, focused]);

await page.fill("#filter", "orders-db postgresql");
assert.equal(await page.locator("#containers tbody tr").count(), 1);
assert.equal(await text("#requests"), "Nothing matches the filter.");
await page.fill("#filter", "");

// The bodies of a request, by keyboard alone.
await page.locator("#requests button", { hasText: "credentials" }).first().focus();
await page.keyboard.press("Enter");
await page.locator("#detail").waitFor();
const detail = await text("#detail");
assert.match(detail, /"password": "[0-9a-f]{24}"/);
await accessible(page);
await page.keyboard.press("Escape");
assert.equal(await page.locator("#detail").isVisible(), false);

// The controls: drift, a fault, a second key, the clock, a refusal.
await page.locator("#control-details > summary").click();
const act = async (name, fields) => {
  await page.selectOption("#action", name);
  for (const [field, value] of Object.entries(fields)) await page.fill(`#control [name=${field}]`, value);
  await page.locator("#control button.main").click();
};
await act("drift/stop", { container: "orders" });
await page.locator("#containers tbody tr", { hasText: "stopped" }).first().waitFor();
await act("faults/add", { operation: "containers.list", kind: "503", times: "2" });
await page.locator("#faults li", { hasText: "status on containers.list: fired 0 of 2" }).waitFor();
if (folder) await page.screenshot({ path: `${folder}/control.png` });
await act("new_key", { label: "second", scopes: '["containers:read"]' });
await page.locator("#answer", { hasText: "sk_stacks_" }).waitFor();
await act("new_key", { label: "second" });
await page.locator("#wrong", { hasText: "there is already a key with the label second" }).waitFor();
await page.click("#freeze");
await page.locator("#now", { hasText: "frozen" }).waitFor();
const day = (await text("#now")).slice(0, 10);
await page.click("text=+1 day");
await page.waitForFunction(day => !document.getElementById("now").textContent.startsWith(day), day);

await page.locator("#connect-details > summary").click();
assert.match(await text("#curl"), /sk_stacks_\.\.\./);
await page.click("[data-copy=curl]");
await page.locator("#copied", { hasText: "Copied." }).waitFor();
assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^curl -H "Authorization: Bearer sk_stacks_[0-9a-f]{64}"/);

await page.click("#reset");
await page.locator("#containers", { hasText: "No container yet." }).waitFor();
await browser.close();
