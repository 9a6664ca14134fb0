// "read by N" in a headless Chromium over a fake demo.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { Browser } from "./browser.mjs";
import { dist, fakeDemo } from "./bundle.mjs";

const { FakeDemo } = await fakeDemo();
const shots = process.env.SCREENSHOTS;
const name = (n) => `person-${String(n).padStart(4, "0")}`;
const last = `[...document.querySelectorAll("#pane-0 .row.spoken .read")].at(-1)`;

test("how many have read stands beside what is on screen", { timeout: 120_000 }, async (t) => {
  const demo = new FakeDemo();
  const browser = await Browser.start();
  t.after(async () => {
    demo.close();
    await browser.close();
  });
  const address = await demo.listen(dist);
  demo.step(60);
  demo.people(0, 3_000, name);
  demo.read(0, 1_234, name);
  await browser.view(1280, 800, false);
  await browser.go(address);
  await browser.until(`document.querySelectorAll("[data-standing=same].pane").length === 3`, "three equal chains");
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
