import assert from "node:assert/strict";
import test from "node:test";
import { Code, FolkmootError } from "../src/errors.ts";
import { OUTBOX_MAX } from "../src/limits.ts";
import { Outbox } from "../src/outbox.ts";
import { BOB, GROUP, range, until, watch, world } from "./support/harness.ts";

test("messages written before the connection is there go out in order", async () => {
  const w = world();
  const group = w.connect().group(GROUP);
  const sent = range(1, 30).map((i) => group.send(`m${i}`));
  assert.ok(sent.every((s) => s.state === "sending"));
  const seqs = await Promise.all(sent.map((s) => s.done));
  assert.deepEqual(seqs, range(3, 32));
  await until(() => group.outgoing.length === 0 && group.tip?.seq === 32, "all seen in the timeline");
  assert.deepEqual(group.entries.slice(2).map((e) => e.text), range(1, 30).map((i) => `m${i}`));
  assert.ok(group.entries.slice(2).every((e) => e.nick === "ann" && e.clientMsgId.length === 16));
  w.close();
});

test("an answer that is lost: the same id again, and one entry", async () => {
  const w = world();
  const group = w.connect().group(GROUP);
  const seen = watch(group);
  await until(() => group.tip?.seq === 2, "the head");
  w.edge.loseAnswers = 3;
  const sent = ["one", "two", "three", "four"].map((text) => group.send(text));
  await Promise.all(sent.map((s) => s.done));
  await until(() => group.tip?.seq === 6, "all seen");
  assert.deepEqual(group.entries.slice(2).map((e) => e.text), ["one", "two", "three", "four"]);
  assert.deepEqual(seen.shown, range(1, 6));
  assert.equal(new Set(w.edge.sends).size, 4, "four ids, however many attempts");
  assert.equal(w.log.entries.length, 6);
  w.close();
});

test("busy is tried again with the same id, ahead of the next message", async () => {
  const w = world();
  const group = w.connect().group(GROUP);
  await until(() => group.tip?.seq === 2, "the head");
  w.edge.refuseSends = [Code.Busy, Code.Unavailable, Code.TooManyRequests];
  const first = group.send("first");
  const second = group.send("second");
  assert.deepEqual([await first.done, await second.done], [3, 4]);
  assert.equal(new Set(w.edge.sends.slice(0, 4)).size, 1);
  assert.equal(w.edge.sends.length, 5);
  w.close();
});

test("a refusal fails the message and lets the next one out; retry sends it again", async () => {
  const w = world();
  const group = w.connect().group(GROUP);
  await until(() => group.tip?.seq === 2, "the head");
  w.edge.refuseSends = [Code.TooLarge];
  const first = group.send("first");
  const second = group.send("second", { action: true, mentions: [BOB] });
  await assert.rejects(first.done, (e: unknown) => e instanceof FolkmootError && e.code === Code.TooLarge && !e.temporary);
  assert.equal(await second.done, 3);
  assert.equal(first.state, "failed");
  await until(() => group.outgoing.length === 1, "only the failed one is left");
  assert.equal(group.entries.at(-1)?.kind, "action");
  assert.deepEqual(group.entries.at(-1)?.mentions, [BOB]);
  group.retry(first);
  await until(() => group.tip?.seq === 4, "the retry");
  assert.equal(group.entries.at(-1)?.text, "first");
  w.edge.refuseSends = [Code.Expired];
  const old = group.send("old");
  await old.done.catch(() => {});
  const spent = w.edge.sends.at(-1);
  group.retry(old);
  await until(() => group.tip?.seq === 5, "with a new id");
  assert.notEqual(w.edge.sends.at(-1), spent);
  w.close();
});

test("the outbox is bounded, and closing fails what is left", async () => {
  const w = world();
  w.network.down.add("ws://a");
  const client = w.connect();
  const group = client.group(GROUP);
  const first = group.send("0");
  for (let i = 1; i < OUTBOX_MAX; i++) group.send(`${i}`);
  assert.throws(() => group.send("one too many"), (e: unknown) => e instanceof FolkmootError && e.name === "queue_full");
  client.close();
  await assert.rejects(first.done, /closed/);
});

test("an accepted message holds nothing up, and is asked for in the next session before anything new", async () => {
  let next = 1;
  let cut = true;
  const sends: string[] = [];
  const outbox = new Outbox({
    newId: () => new Uint8Array(16).fill(next++),
    transmit: async (item) => {
      sends.push(item.text);
      return { $typeName: "folkmoot.v1.Sent", seq: cut ? 0n : BigInt(sends.length), hlc: 1n, id: new Uint8Array(), duplicate: false, accepted: cut };
    },
    changed: () => {},
    random: () => 0,
  });
  const one = outbox.add("one", false, []);
  const two = outbox.add("two", false, []);
  const three = outbox.add("three", false, []);
  await until(() => outbox.items.every((item) => item.state === "accepted"), "all accepted");
  outbox.settled(two.clientMsgId!, 7);
  assert.equal(await two.done, 7);
  outbox.settled(three.clientMsgId!, FolkmootError.of(Code.Banned));
  await assert.rejects(three.done);
  cut = false;
  outbox.add("four", false, []);
  await until(() => sends.includes("four"), "the next one goes");
  outbox.again();
  assert.equal(await one.done, 5);
  assert.deepEqual(sends, ["one", "two", "three", "four", "one"]);
  outbox.close();
});
