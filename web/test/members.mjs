// The list of members in a headless Chromium over a fake demo. Screenshots go
// to the folder in SCREENSHOTS, when it is set.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { open } from "./fake_page.mjs";

const shots = process.env.SCREENSHOTS;
const PEOPLE = 3_000;
const name = (n) => `person-${String(n).padStart(4, "0")}`;
const view = `document.querySelector("#pane-0 .members-view")`;
const names = `[...${view}.querySelectorAll(".names .nick")].map((n) => n.textContent)`;
const below = `${view}.querySelector(".names").lastElementChild.textContent`;
const scroller = `${view}.querySelector(".names-scroller")`;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

test("members are listed and found in a large group", { timeout: 120_000 }, async (t) => {
  const { browser } = await open(t, (demo) => demo.people(0, PEOPLE, name));

  await browser.value(`document.querySelector("#pane-0 button.members").click()`);
  await browser.until(`${names}.length > 5`, "the first names");
  assert.match(await browser.value(`${view}.querySelector(".counts").textContent`), /^3,0\d\d members$/);
  const sorted = (list) => list.every((nick, i) => i === 0 || nick.toLowerCase() >= list[i - 1].toLowerCase());
  assert.ok(sorted(await browser.value(names)));
  if (shots !== undefined) {
    mkdirSync(shots, { recursive: true });
    await browser.screenshot(join(shots, "members.png"));
  }

  // Down to the last of them: rows on screen only, in order, and nobody missing.
  const seen = new Set();
  for (let turn = 0; turn < 2_000 && (await browser.value(below)) !== "That is all"; turn++) {
    const list = await browser.value(names);
    assert.ok(sorted(list));
    assert.ok(list.length < 90, `${list.length} rows in the document`);
    for (const nick of list) seen.add(nick);
    await browser.value(`${scroller}.scrollTop += 300`);
    await sleep(15);
  }
  for (const nick of await browser.value(names)) seen.add(nick);
  for (let n = 0; n < PEOPLE; n++) assert.ok(seen.has(name(n)), `${name(n)} was never shown`);

  // Back at the top, what was forgotten is read again.
  await browser.value(`${scroller}.scrollTop = 0`);
  await browser.until(`${names}.length > 5 && !${names}.includes("…")`, "the first names again");

  const search = (text) => browser.value(`(() => {
    const input = ${view}.querySelector("input"); input.value = ${JSON.stringify(text)}; input.dispatchEvent(new Event("input")); })()`);
  await search("PERSON-012");
  await browser.until(`${below} === "That is all" && ${names}.length === 10`, "those whose name begins so");
  assert.deepEqual(await browser.value(names), Array.from({ length: 10 }, (_, n) => name(120 + n)));
  if (shots !== undefined) await browser.screenshot(join(shots, "members-found.png"));
  await search("nobody at all");
  await browser.until(`${below} === "Nobody is called so"`, "nobody");
  await browser.value(`${view}.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }))`);
  assert.equal(await browser.value(`${view}.hidden`), true);
  assert.deepEqual(browser.faults, []);
});
