import assert from "node:assert/strict";
import test from "node:test";
import { Timeline, type Batch } from "../src/timeline.ts";
import { FakeCluster, type FakeLog } from "./support/fake_cluster.ts";
import { ANN, GROUP } from "./support/harness.ts";

function filled(count: number): FakeLog {
  const log = new FakeCluster().log(GROUP);
  for (let i = 1; i <= count; i++) log.append({ sender: ANN, nick: "ann", text: `m${i}` });
  return log;
}
const slice = (log: FakeLog, from: number, to: number): Batch => ({
  from, to, entries: log.entries.slice(from - 1, to), chainBefore: log.chain(from - 1),
});
const seqs = (timeline: Timeline): number[] => timeline.entries.map((e) => e.seq);

test("takes what follows, passes over what is held, refuses a gap", () => {
  const log = filled(12);
  const timeline = new Timeline();
  timeline.start(slice(log, 4, 6));
  assert.deepEqual(timeline.append(slice(log, 8, 9)), { gap: true });
  const overlap = timeline.append(slice(log, 5, 8));
  assert.deepEqual(overlap.gap === false && overlap.entries.map((e) => e.seq), [7, 8]);
  assert.deepEqual(timeline.append(slice(log, 5, 8)), { gap: false, entries: [] });
  assert.deepEqual(timeline.prepend(slice(log, 1, 3)).map((e) => e.text), ["m1", "m2", "m3"]);
  assert.deepEqual(timeline.prepend(slice(log, 1, 3)), []);
  assert.deepEqual(seqs(timeline), [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.equal(timeline.first, 1);
  assert.deepEqual(timeline.resume, { seq: 8, chain: log.chain(8) });
});

test("refuses what does not follow by the chain, in front and behind", () => {
  const log = filled(9);
  const other = filled(3);
  other.append({ sender: ANN, nick: "ann", text: "another history" });
  other.append({ sender: ANN, nick: "ann", text: "goes on" });
  const timeline = new Timeline();
  timeline.start(slice(log, 4, 5));
  assert.throws(() => timeline.append({ from: 6, to: 6, entries: [other.entries[4]!] }), /entry 5 outside/);
  const forged = { ...log.entries[5]!, body: Uint8Array.of(1) };
  assert.throws(() => timeline.append({ from: 6, to: 6, entries: [forged] }), /does not verify/);
  assert.throws(() => timeline.append({ from: 6, to: 7, entries: [log.entries[6]!, log.entries[5]!] }), /does not verify/);
  assert.throws(() => timeline.append({ ...slice(log, 6, 6), chainBefore: new Uint8Array(32) }), /does not verify/);
  const bent = filled(2);
  bent.append({ sender: ANN, nick: "eve", text: "m3" });
  assert.throws(() => timeline.prepend(slice(bent, 1, 3)), /does not verify/);
  assert.deepEqual(seqs(timeline), [4, 5], "nothing of it was taken");
});

test("what the server leaves out inside covers is no gap", () => {
  const log = filled(8);
  const timeline = new Timeline();
  timeline.start(slice(log, 1, 2));
  timeline.append({ from: 3, to: 6, entries: [log.entries[2]!, log.entries[4]!] });
  assert.deepEqual(seqs(timeline), [1, 2, 3, 5]);
  assert.equal(timeline.tip, 6);
  assert.equal(timeline.resume?.seq, 5, "resumes from an entry whose chain is known");
  timeline.append(slice(log, 7, 8));
  assert.deepEqual(seqs(timeline), [1, 2, 3, 5, 7, 8]);
});

test("holds a bounded window, whose front can be loaded again", () => {
  const log = filled(120);
  const timeline = new Timeline(40);
  timeline.start(slice(log, 1, 10));
  for (let seq = 11; seq <= 120; seq++) {
    timeline.append(slice(log, seq, seq));
    assert.ok(timeline.entries.length <= 40);
  }
  assert.equal(seqs(timeline).at(-1), 120);
  const first = timeline.first;
  assert.equal(first, seqs(timeline)[0]);
  timeline.prepend(slice(log, first - 5, first - 1));
  assert.equal(timeline.first, first - 5);
});
