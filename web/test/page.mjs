// The page in a headless Chromium over a fake demo. Screenshots go to the
// folder in SCREENSHOTS, when it is set.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { open } from "./fake_page.mjs";

const shots = process.env.SCREENSHOTS;
const rows = (pane) => `[...document.querySelectorAll("#pane-${pane} .row")].map((r) => Number(r.dataset.seq))`;
const said = (pane) => `document.querySelector("#pane-${pane} .log").textContent`;
const inOrder = (seqs) => seqs.every((seq, i) => i === 0 || seq === seqs[i - 1] + 1);

test("three panes show one conversation", { timeout: 120_000 }, async (t) => {
  const text = process.env.REPLAY === undefined ? undefined : readFileSync(process.env.REPLAY, "utf8");
  const { demo, browser } = await open(t, () => {}, { log: text, lines: 400 });

  const colours = `new Set([...document.querySelectorAll(".chain code")].map((c) => getComputedStyle(c).color + c.textContent)).size`;
  assert.equal(await browser.value(colours), 1, "equal chains have one colour");

  demo.step(40); // live, with all three watching
  const head = demo.replays[0].log.entries.length;
  for (const pane of [0, 1, 2]) {
    await browser.until(`${rows(pane)}.at(-1) === ${head}`, `pane ${pane} at the head`);
    assert.ok(inOrder(await browser.value(rows(pane))));
  }

  await browser.type("#pane-1-input", "hello from the other side");
  await browser.type("#pane-2-input", "guest-us: I can hear you");
  for (const pane of [0, 1, 2]) {
    await browser.until(`${said(pane)}.includes("hello from the other side") && ${said(pane)}.includes("I can hear you")`, `pane ${pane} shows both`);
  }
  await browser.until(`document.querySelectorAll(".outgoing li").length === 0`, "nothing on its way");
  assert.equal(await browser.value(`document.querySelector("#pane-1 .hit mark").textContent`), "guest-us");
  await browser.until(`document.querySelectorAll("#pane-0 .mark.region-1, #pane-0 .mark.region-2").length >= 2`, "marks of the other readers");

  if (shots !== undefined) {
    mkdirSync(shots, { recursive: true });
    for (const dark of [false, true]) {
      for (const [width, height] of [[1280, 800], [390, 844]]) {
        await browser.view(width, height, dark);
        await new Promise((resolve) => setTimeout(resolve, 1_500));
        await browser.screenshot(join(shots, `page-${width}-${dark ? "dark" : "light"}.png`));
      }
    }
    await browser.view(1280, 800, false);
  }
  assert.ok(await browser.value(`document.documentElement.scrollWidth <= innerWidth`), "nothing sticks out sideways");

  // Scrolling up loads history down to the first entry, in order, and bounded.
  for (let turn = 0; turn < 60 && (await browser.value(`${rows(0)}[0]`)) !== 1; turn++) {
    await browser.value(`document.querySelector("#pane-0 .scroller").scrollTop = 0`);
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
  const old = await browser.value(rows(0));
  assert.equal(old[0], 1);
  assert.ok(inOrder(old));
  assert.ok(old.length <= 480);
  demo.step(5);
  await browser.until(`!document.querySelector("#pane-0 .jump").hidden && /new/.test(document.querySelector("#pane-0 .jump").textContent)`, "new entries are announced");
  if (shots !== undefined) await browser.screenshot(join(shots, "page-scrolled.png"));
  await browser.value(`document.querySelector("#pane-0 .jump").click()`);
  await browser.until(`${rows(0)}.at(-1) === ${demo.replays[0].log.entries.length}`, "at the end again");

  // A cut, and entries meanwhile: nothing lost, nothing twice.
  demo.cut();
  demo.step(25);
  for (const pane of [0, 1, 2]) {
    await browser.until(`${rows(pane)}.at(-1) === ${demo.replays[0].log.entries.length}`, `pane ${pane} caught up`);
    assert.ok(inOrder(await browser.value(rows(pane))));
  }

  // Another group in all panes.
  await browser.value(`(() => { const s = document.querySelector("#group"); s.value = ${JSON.stringify(demo.replays[1].log.id)}; s.dispatchEvent(new Event("change")); })()`);
  for (const pane of [0, 1, 2]) {
    await browser.until(`${rows(pane)}.at(-1) === ${demo.replays[1].log.entries.length}`, `pane ${pane} shows the other group`);
  }
  assert.deepEqual(await browser.value(`[...document.querySelectorAll(".home")].map((h) => h.hidden)`), [true, false, true]);
  assert.deepEqual(browser.faults, []);
});
