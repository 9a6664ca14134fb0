// A large group of a demo's real nodes, in a headless Chromium: MEMBERS people
// come into it (a few thousand, unless told otherwise), some of them talk.
// FOLKMOOT names the program. Screenshots go to the folder in SCREENSHOTS.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { Browser } from "./browser.mjs";
import { Demo } from "./program.mjs";
import { Work } from "./work.mjs";

const shots = process.env.SCREENSHOTS;
const members = Number(process.env.MEMBERS ?? 4_000);
/** A frame may take so long, in milliseconds. */
const FRAME = 50;
const pane = `document.querySelector("#pane-0")`;
const list = `${pane}.querySelector(".names-scroller")`;
const log = `${pane}.querySelector(".scroller")`;
const nicks = `[...${pane}.querySelectorAll(".names .nick")].map((n) => n.textContent)`;
const number = (of) => `Number(${of}?.textContent.replace(/\\D/g, "") ?? 0)`;

/** Scrolls by `by` pixels a frame, so many frames. */
const scroll = (what, by, frames) => `new Promise((resolve) => {
  let left = ${frames};
  const step = () => { ${what}.scrollTop += ${by}; if (--left > 0) requestAnimationFrame(step); else resolve(); };
  requestAnimationFrame(step);
})`;

test(`a group of ${members} stays smooth`, { timeout: 300_000 + members }, async (t) => {
  const demo = await Demo.start("--members", String(members));
  const browser = await Browser.start();
  t.after(async () => {
    await demo.stop();
    await browser.close();
  });
  await browser.view(1280, 800, false);
  await browser.go(demo.address);
  await browser.until(`document.querySelectorAll(".pane[data-state=online]").length === 3`, "three panes");
  await demo.tells(/(Ctrl-C stops everything)/, 3_000 + members / 50);
  await browser.until(`${number(`${pane}.querySelector("button.members")`)} > ${members}`, "all have come");
  await browser.until(`${pane}.querySelectorAll(".row.spoken").length > 20`, "the group is busy");

  // "read by N" moves: more have read a message than before.
  await browser.value("window.before = new Map()");
  await browser.until(`[...${pane}.querySelectorAll(".row:has(.read:not(:empty))")].some((row) => {
    const [seq, readers] = [row.dataset.seq, ${number(`row.querySelector(".read")`)}];
    if (!before.has(seq)) before.set(seq, readers);
    return readers > 10 && readers > before.get(seq);
  })`, "more have read it than before");

  // The list of members: scrolled, and searched.
  await browser.value(`${pane}.querySelector("button.members").click()`);
  await browser.until(`${nicks}.length > 10`, "the first names");
  const scrolling = await Work.begin(browser);
  for (let turn = 0; turn < 6; turn++) await browser.value(scroll(list, 140, 30));
  const inList = await scrolling.end();
  await browser.until(`!${nicks}.includes("…")`, "the names below");
  await browser.value(`(() => { const input = ${pane}.querySelector("input[type=search]"); input.value = "tove1"; input.dispatchEvent(new Event("input")); })()`);
  await browser.until(`${nicks}.length > 0 && ${nicks}.every((nick) => nick.startsWith("tove1"))`, "those whose name begins so");
  if (shots !== undefined) {
    mkdirSync(shots, { recursive: true });
    await browser.screenshot(join(shots, "crowd-members.png"));
  }
  await browser.value(`${pane}.querySelector(".members-view .close").click()`);

  // The log, while the group goes on.
  const before = await browser.value(number(`${pane}.querySelector(".seq")`));
  const following = await Work.begin(browser);
  for (let turn = 0; turn < 4; turn++) await browser.value(scroll(log, -90, 30));
  for (let turn = 0; turn < 4; turn++) await browser.value(scroll(log, 120, 30));
  const inLog = await following.end();
  assert.ok((await browser.value(number(`${pane}.querySelector(".seq")`))) > before, "nobody said anything meanwhile");
  if (shots !== undefined) await browser.screenshot(join(shots, "crowd.png"));

  for (const [what, tasks] of [["members", inList], ["log", inLog]]) {
    const told = ({ ms, parts }) => `${ms.toFixed(1)} (${parts.join(", ")})`;
    t.diagnostic(`${what}: ${tasks.length} tasks, the longest ${tasks.slice(0, 3).map(told).join("; ")} ms of processor time`);
    assert.ok(tasks.length > 50, `${tasks.length} tasks were seen`);
    assert.ok(tasks[0].ms < FRAME, `a task of ${told(tasks[0])} ms`);
  }
  assert.deepEqual(browser.faults, []);
  assert.deepEqual(await demo.stop(), { code: 0, signal: null });
});
