// "read by N" in a headless Chromium over a fake demo.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { open } from "./fake_page.mjs";

const shots = process.env.SCREENSHOTS;
const name = (n) => `person-${String(n).padStart(4, "0")}`;
const last = `[...document.querySelectorAll("#pane-0 .row.spoken .read")].at(-1)`;

test("how many have read stands beside what is on screen", { timeout: 120_000 }, async (t) => {
  const { demo, browser } = await open(t, (demo) => {
    demo.people(0, 3_000, name);
    demo.read(0, 1_234, name);
  });
  const shown = (least) => browser.until(`Number(${last}?.textContent.replace(/\\D/g, "")) >= ${least}`, `read by ${least}`);
  await shown(1_234);
  assert.match(await browser.value(`${last}.textContent`), /^read by 1,2\d\d$/);
  assert.match(await browser.value(`${last}.title`), /^of 3,0\d\d members$/);
  demo.read(0, 2_345, name);
  await shown(2_345);
  if (shots !== undefined) {
    mkdirSync(shots, { recursive: true });
    await browser.screenshot(join(shots, "receipts.png"));
  }
  assert.deepEqual(browser.faults, []);
});
