// Who is there and who is writing, in a headless Chromium over a fake demo.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { open } from "./fake_page.mjs";

const shots = process.env.SCREENSHOTS;
const rows = `[...document.querySelectorAll("#pane-0 .names li")]`;
const here = `${rows}.filter((row) => row.querySelector(".dot")?.dataset.online === "true").map((row) => row.querySelector(".nick").textContent)`;
const members = `document.querySelector("#pane-0 button.members").click()`;
const writing = `document.querySelector("#pane-0 .typing").textContent`;
const write = (pane, text) => `(() => {
  const input = document.querySelector("#pane-${pane} .composer input");
  input.value = ${JSON.stringify(text)};
  input.dispatchEvent(new Event("input"));
})()`;

test("who is there has a dot, and who is writing a line", { timeout: 120_000 }, async (t) => {
  const { demo, browser } = await open(t, (demo) => demo.is(0, "maren", true));
  await browser.value(members);
  await browser.until(`${here}.join() === "maren"`, "maren's dot");
  demo.is(0, "otto", true);
  await browser.until(`${here}.join() === "maren,otto"`, "otto's dot");
  demo.is(0, "maren", false);
  await browser.until(`${here}.join() === "otto"`, "maren to go");

  assert.equal(await browser.value(writing), "");
  await browser.value(write(1, "hel"));
  await browser.until(`${writing} === "guest-us is writing…"`, "one who writes");
  await browser.value(write(2, "so"));
  await browser.until(`/ and guest-.* are writing…$/.test(${writing})`, "two who write");
  if (shots !== undefined) {
    mkdirSync(shots, { recursive: true });
    await browser.screenshot(join(shots, "people.png"));
  }
  for (const pane of [1, 2]) await browser.value(write(pane, ""));
  await browser.until(`${writing} === ""`, "nobody who writes");
  assert.deepEqual(browser.faults, []);
});

test("in a large group those on screen are watched", { timeout: 120_000 }, async (t) => {
  const name = (n) => `person-${String(n).padStart(4, "0")}`;
  const { demo, browser } = await open(t, (demo) => {
    demo.people(0, 3_000, name);
    for (const n of [3, 2_000]) demo.is(0, name(n), true);
  });
  await browser.value(members);
  await browser.until(`${rows}.length > 5`, "the first names");
  await browser.value(`(() => {
    const input = document.querySelector("#pane-0 .members-view input");
    input.value = "person-000"; input.dispatchEvent(new Event("input"));
  })()`);
  await browser.until(`${here}.join() === "person-0003"`, "the one on screen");
  demo.is(0, name(2_000), false);
  demo.is(0, name(4), true);
  await browser.until(`${here}.join() === "person-0003,person-0004"`, "another one");
  assert.deepEqual(browser.faults, []);
});
