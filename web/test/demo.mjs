// The page over a demo's real nodes, in a headless Chromium: FOLKMOOT names the
// program. Screenshots go to the folder in SCREENSHOTS, when it is set.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { Browser } from "./browser.mjs";
import { Demo } from "./program.mjs";

const shots = process.env.SCREENSHOTS;
const panes = [0, 1, 2];
const said = (pane) => `document.querySelector("#pane-${pane} .log").textContent`;
const head = (pane) => `document.querySelector("#pane-${pane} .chain code").textContent`;

test("two panes of a real cluster talk", { timeout: 300_000 }, async (t) => {
  const demo = await Demo.start();
  const browser = await Browser.start();
  t.after(async () => {
    await demo.stop();
    await browser.close();
  });
  await browser.view(1280, 800, false);
  await browser.go(demo.address);
  for (const pane of panes) await browser.until(`document.querySelectorAll("#pane-${pane} .row").length > 0`, `pane ${pane} shows the log`);

  // In the middle of the replay, from two regions.
  await browser.type("#pane-1-input", "hello from the other side");
  await browser.type("#pane-2-input", "I can hear you");
  for (const pane of panes) {
    await browser.until(`${said(pane)}.includes("hello from the other side") && ${said(pane)}.includes("I can hear you")`, `pane ${pane} shows both`);
  }

  await demo.tells(/(all regions agree)/);
  await browser.until(`document.querySelectorAll("[data-standing=same].pane").length === 3`, "three equal chains");
  const chains = await browser.value(`[${panes.map(head).join(",")}]`);
  assert.match(chains[0], /^[0-9a-f]{4,}/);
  assert.deepEqual(chains, [chains[0], chains[0], chains[0]]);
  for (const pane of panes) {
    const seqs = await browser.value(`[...document.querySelectorAll("#pane-${pane} .row")].map((r) => Number(r.dataset.seq))`);
    assert.ok(seqs.length > 10 && seqs.every((seq, i) => i === 0 || seq === seqs[i - 1] + 1), `pane ${pane} has a gap: ${seqs}`);
  }

  // A region is cut off: it says so and talks on, and the others hear nothing of it.
  await browser.click("#pane-2 .knife");
  await browser.until(`document.querySelector("#pane-2").dataset.cut === "true"`, "the pane says that it is cut off");
  await browser.type("#pane-2-input", "is anybody out there");
  await browser.until(`document.querySelector("#pane-2 .outgoing .accepted")?.textContent.includes("is anybody out there")`, "a tentative bubble");
  await browser.type("#pane-0-input", "they are gone");
  for (const pane of [0, 1]) await browser.until(`${said(pane)}.includes("they are gone")`, `pane ${pane} goes on`);
  await browser.type("#pane-2-input", "then I talk to myself");
  await browser.until(`document.querySelectorAll("#pane-2 .outgoing .accepted").length === 2`, "two tentative bubbles");
  assert.equal(await browser.value(`${said(2)}.includes("they are gone")`), false);
  assert.equal(await browser.value(`${said(0)}.includes("is anybody out there")`), false);
  if (shots !== undefined) {
    mkdirSync(shots, { recursive: true });
    await browser.screenshot(join(shots, "demo-region-cut.png"));
  }
  // Healed, all three have one order.
  await browser.click("#pane-2 .knife");
  const order = (pane) => `(() => { const text = ${said(pane)}; return ["they are gone", "is anybody out there", "then I talk to myself"].map((line) => text.indexOf(line)); })()`;
  for (const pane of panes) {
    await browser.until(`(${order(pane)}).every((at, i, all) => at >= 0 && (i === 0 || at > all[i - 1]))`, `pane ${pane} shows one order`);
  }
  await browser.until(`document.querySelectorAll("#pane-2 .outgoing li").length === 0`, "no bubble is left");
  await browser.until(`document.querySelectorAll("[data-standing=same].pane").length === 3`, "three equal chains again");
  // The browser's own connections were not refused, nothing threw.
  assert.deepEqual(browser.faults, []);
  if (shots !== undefined) {
    mkdirSync(shots, { recursive: true });
    await browser.screenshot(join(shots, "demo-three-regions.png"));
  }
  assert.deepEqual(await demo.stop(), { code: 0, signal: null });
});
