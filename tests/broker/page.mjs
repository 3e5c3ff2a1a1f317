// The page of a broker in a browser: node page.mjs URL CHROMIUM TOKENS [FOLDER for pictures]
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [, , url, executablePath, given, folder] = process.argv;
const tokens = JSON.parse(given);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const asked = [];

async function open(options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("pageerror", error => { throw error; });
  page.on("dialog", dialog => { throw new Error("a name was run: " + dialog.message()); });
  // What the policy of the page refuses is told there, and so is each failed answer.
  page.on("console", message => { if (/Content Security Policy|TrustedHTML/.test(message.text())) throw new Error(message.text()); });
  page.on("request", request => asked.push(request.url()));
  await page.goto(url);
  return page;
}

async function enter(page, token) {
  await page.fill("#token", token);
  await page.click("#token-form button");
}

async function shown(kind, options) {
  const page = await open(options);
  await enter(page, tokens[kind]);
  await page.locator("#shown").waitFor();
  return page;
}

async function accessible(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  assert.deepEqual(found.violations.map(it => [it.id, it.nodes.map(node => node.html)]), []);
}

const rows = (page, id) => page.locator(`#${id} tbody tr`).allInnerTexts();

for (const [name, colorScheme, width] of [["light", "light", 1280], ["dark", "dark", 1280], ["phone", "light", 390], ["phone-dark", "dark", 390]]) {
  for (const kind of ["read", "budget", "change"]) {
    // axe is put into the page as a script, which the page's own policy forbids.
    const page = await shown(kind, { colorScheme, viewport: { width, height: 900 }, bypassCSP: true });
    if (folder) await page.screenshot({ path: `${folder}/${kind}-${name}.png`, fullPage: true });
    await accessible(page);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, `${kind}, ${name}: it scrolls sideways`);
    await page.context().close();
  }
}

// A token that is wrong shows nothing; the field is empty again.
const page = await open();
await enter(page, "sk_stacks_" + "0".repeat(64));
await page.locator("#wrong", { hasText: "does not know this token" }).waitFor();
assert.deepEqual([await page.locator("#shown").isVisible(), await page.inputValue("#token")], [false, ""]);

// A grant that reads sees all of them, what waits for a person, and the changes.
await enter(page, tokens.read);
await page.locator("#shown").waitFor();
assert.equal(await page.locator("#wrong").innerText(), "");
assert.equal((await rows(page, "grants")).length, 3);
const waiting = await rows(page, "requests");
assert.equal(waiting.length, 3);
assert.match(waiting.join(), /stacks-pulumi gate approve r-[0-9a-f]{10}/);
assert.match((await rows(page, "changes")).join(), /POST \/containers/);
assert.match(await page.locator("#limits").innerText(), /the account\s+\$21.00 of \$40.00/);
assert.notEqual(await page.evaluate(() => document.querySelector("#limits .bar i").style.width), "");

// Names of others are text, and what is not visible in them is written out.
if (!folder) assert.ok((await page.locator("#grants").innerText()).includes("<img src=x onerror=alert(1)>\\u{202e}\\u{1b}[31m"));
assert.equal(await page.locator("img").count(), 0);

await page.fill("#filter", "shop/odd");
assert.equal((await rows(page, "grants")).length, 1);
await page.fill("#filter", "");

// The token is in no address, and in no storage.
assert.deepEqual(await page.evaluate(() => [location.href, document.cookie, localStorage.length + sessionStorage.length]), [url, "", 0]);
assert.deepEqual(asked.filter(one => !one.startsWith(url) && !one.startsWith("data:") || one.includes("sk_stacks_")), []);

// Once forgotten, nothing is left of what it showed.
await page.click("#forget");
assert.equal(await page.locator("#shown").isVisible(), false);
assert.ok(!(await page.content()).includes("orders"));
await page.click("#token-form button");
assert.equal(await page.locator("#shown").isVisible(), false);

// Other grants see themselves alone.
for (const [kind, there, not] of [["budget", "made", "grants"], ["change", "permits", "grants"], ["own", "made", "changes"]]) {
  const other = await shown(kind);
  assert.equal(await other.locator("#" + there).isVisible(), true, kind);
  assert.equal(await other.locator("#" + not).isVisible(), false, kind);
  const text = await other.locator("main").innerText();
  assert.equal(text.includes("the account"), kind !== "own", kind);
  await other.context().close();
}
const over = await shown("over");
assert.match(await over.locator("#figures").innerText(), /it has ended/);
assert.equal(await over.locator("#grants").isVisible(), false);

// A broker that does not answer: what was read stays, and says so.
await over.context().setOffline(true);
await over.click("#again");
await over.locator("#silence").waitFor();
await browser.close();
