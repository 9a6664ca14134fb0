import assert from "node:assert/strict";
import test from "node:test";
import { Code } from "../src/errors.ts";
import { userIdText } from "../src/ids.ts";
import { ANN, BOB, GROUP, range, until, watch, world } from "./support/harness.ts";

test("reads the newest page, follows, and loads older pages up to the first entry", async () => {
  const w = world(500);
  const group = w.connect().group(GROUP);
  const seen = watch(group);
  await until(() => group.tip?.seq === 502, "the head");
  assert.equal(seen.shown[0], 303);
  w.log.append({ sender: BOB, nick: "bob", text: "live" });
  await until(() => group.tip?.seq === 503, "the push");
  assert.equal(group.entries.at(-1)?.text, "live");
  assert.equal(await group.loadOlder(), true);
  await Promise.all([group.loadOlder(), group.loadOlder()]); // one page, not two
  assert.deepEqual(seen.shown, range(1, 503));
  assert.equal(group.complete, true);
  assert.equal(await group.loadOlder(), false);
  assert.deepEqual(group.tip?.chain, w.log.chain(503));
  w.close();
});

test("an empty log is followed from its first entry", async () => {
  const w = world();
  w.log.entries.length = 0;
  const group = w.connect().group(GROUP);
  const seen = watch(group);
  await until(() => w.edge.requests.includes("getCursors"), "attached");
  w.log.append({ sender: BOB, nick: "bob", text: "first" });
  await until(() => seen.shown.length === 1, "the first entry");
  assert.deepEqual(seen.shown, [1]);
  w.close();
});

for (const gapPushes of [false, true]) {
  test(`closes a gap by fetching (${gapPushes ? "told by Gap" : "seen in covers"})`, async () => {
    const w = world(5);
    const group = w.connect().group(GROUP);
    const seen = watch(group);
    await until(() => group.tip?.seq === 7, "the head");
    w.edge.dropPushes = 450;
    w.edge.gapPushes = gapPushes;
    for (let i = 0; i < 450; i++) w.log.append({ sender: BOB, nick: "bob", text: `lost ${i}` });
    if (!gapPushes) w.log.append({ sender: BOB, nick: "bob", text: "after" });
    await until(() => group.tip?.seq === w.log.entries.length, "the fetched entries");
    assert.deepEqual(seen.shown, range(1, w.log.entries.length));
    w.close();
  });
}

test("shows an entry that is pushed three times once", async () => {
  const w = world(3);
  w.edge.copies = 3;
  const group = w.connect().group(GROUP);
  const seen = watch(group);
  await until(() => group.tip?.seq === 5, "the head");
  for (let i = 0; i < 50; i++) w.log.append({ sender: BOB, nick: "bob", text: `${i}` });
  await until(() => group.tip?.seq === 55, "the pushes");
  assert.deepEqual(seen.shown, range(1, 55));
  w.close();
});

test("resumes after a cut: nothing lost, nothing twice", async () => {
  for (const answersHello of [true, false]) {
    const w = world(10);
    w.edge.answersHello = answersHello;
    const client = w.connect();
    const group = client.group(GROUP);
    const seen = watch(group);
    await until(() => group.tip?.seq === 12, "the head");
    let cuts = 0;
    client.on("error", () => cuts++);
    for (let round = 0; round < 5; round++) {
      w.network.cut();
      await until(() => cuts === round + 1, "the cut is noticed");
      for (let i = 0; i < 7; i++) w.log.append({ sender: BOB, nick: "bob", text: `r${round} ${i}` });
      await until(() => group.tip?.seq === w.log.entries.length, "caught up");
      w.log.append({ sender: BOB, nick: "bob", text: "live again" });
      await until(() => group.tip?.seq === w.log.entries.length, "live");
    }
    assert.deepEqual(seen.shown, range(1, w.log.entries.length));
    assert.equal(seen.resets, 0);
    w.close();
  }
});

test("drops what it holds when the resume point is not in the edge's history", async () => {
  const w = world(10);
  const client = w.connect();
  const group = client.group(GROUP);
  const seen = watch(group);
  await until(() => group.tip?.seq === 12, "the head");
  w.log.entries.length = 8;
  w.log.append({ sender: BOB, nick: "bob", text: "another history" });
  w.network.cut();
  await until(() => seen.resets === 1 && group.tip?.seq === 9, "read anew");
  assert.deepEqual(seen.shown, range(1, 9));
  assert.equal(group.entries.at(-1)?.text, "another history");
  w.close();
});

test("a damaged push is fetched again; a log that does not verify is read anew", async () => {
  const w = world(4);
  const group = w.connect().group(GROUP);
  const seen = watch(group);
  const errors: string[] = [];
  group.on("error", (e) => errors.push(e.name));
  await until(() => group.tip?.seq === 6, "the head");
  w.edge.damage = 7;
  w.log.append({ sender: BOB, nick: "bob", text: "true words" });
  await until(() => group.tip?.seq === 7, "fetched");
  assert.equal(group.entries.at(-1)?.text, "true words");
  assert.equal(seen.resets, 0);
  w.edge.damage = 8;
  w.edge.damageHistory = 1;
  w.log.append({ sender: BOB, nick: "bob", text: "more" });
  await until(() => group.tip?.seq === 8, "read anew");
  assert.equal(seen.resets, 1);
  assert.ok(errors.includes("chain"));
  assert.deepEqual(seen.shown, range(1, 8));
  w.close();
});

test("a log whose older part is gone ends at its floor", async () => {
  const w = world(300);
  w.log.floor = 250;
  const group = w.connect().group(GROUP);
  await until(() => group.tip?.seq === 302, "the head");
  assert.equal(group.entries[0]?.seq, 251);
  assert.equal(group.complete, true);
  w.close();
});

test("reads cursors, members and unread; cursors move by push and never back", async () => {
  const w = world(6);
  const ann = w.connect().group(GROUP);
  const bob = w.connect({ token: "bob" }).group(GROUP);
  await until(() => ann.tip?.seq === 8 && bob.members.size === 2 && ann.memberCount === 2, "the head and members");
  assert.equal(ann.unread, 6);
  await ann.markRead(5);
  assert.equal(ann.unread, 3);
  await until(() => bob.cursors.get(ANN)?.seq === 5, "bob sees ann's cursor");
  await ann.markRead(4);
  await ann.markRead();
  await until(() => bob.cursors.get(ANN)?.seq === 8, "bob sees it again");
  assert.equal(ann.unread, 0);
  assert.equal(ann.members.get(BOB)?.nick, "bob");
  w.log.append({ kind: 5, sender: BOB, nick: "bob", text: "bobby", subject: BOB });
  w.log.append({ kind: 4, sender: ANN, nick: "ann", subject: ANN });
  await until(() => bob.members.size === 1 && bob.members.get(BOB)?.nick === "bobby", "rename and leave");
  assert.equal(bob.memberCount, 1);
  w.close();
});

test("says how many have read, who, and who has not", async () => {
  const w = world(4);
  const ann = w.connect().group(GROUP);
  await until(() => ann.tip?.seq === 6, "the head");
  const newest = w.log.append({ sender: ANN, nick: "ann", text: "anybody?" });
  const all = async (unread: boolean) => {
    const names: string[] = [];
    let pages = 0;
    for (let page: Uint8Array | undefined = new Uint8Array(); page !== undefined; pages++) {
      const found = await ann.readers(newest, { unread, page });
      names.push(...found.members.map((member) => member.nick));
      page = found.next;
    }
    assert.equal(pages, 2);
    return names;
  };
  assert.deepEqual(await ann.receipts([newest, 1]), { readers: new Map([[newest, 1], [1, 2]]), members: 2 });
  assert.deepEqual([await all(false), await all(true)], [["ann"], ["bob"]]);
  w.log.read(BOB, newest);
  assert.equal((await ann.receipts([newest])).readers.get(newest), 2);
  assert.deepEqual([await all(false), await all(true)], [["ann", "bob"], []]);
  w.close();
});

test("a group that is not there says so", async () => {
  const w = world();
  w.network.cluster.logs.length = 0;
  w.edge.answersHello = false;
  const client = w.connect();
  const group = client.group(GROUP);
  const errors: number[] = [];
  group.on("error", (e) => errors.push(e.code));
  await until(() => errors.length > 0, "the error");
  assert.deepEqual(errors, [Code.NotFound]);
  w.close();
});

test("finds members by nick, page by page, and how many there are", async () => {
  const w = world(2);
  const group = w.connect().group(GROUP);
  await until(() => group.tip !== undefined, "the head");
  const first = await group.findMembers({ limit: 1 });
  assert.deepEqual(first.members.map((member) => member.nick), ["ann"]);
  assert.equal(first.counts.get(2), 2);
  const rest = await group.findMembers({ page: first.next!, limit: 1 });
  assert.deepEqual(rest.members.map((member) => member.user), [BOB]);
  assert.equal(rest.next, undefined);
  assert.equal(rest.counts.size, 0);
  const found = await group.findMembers({ prefix: "B" });
  assert.deepEqual(found.members.map((member) => member.nick), ["bob"]);
  assert.equal((await group.findMembers({ prefix: "x" })).members.length, 0);
  w.close();
});

test("counts members by the group's row and what comes behind it", async () => {
  const w = world(500);
  const group = w.connect().group(GROUP);
  await until(() => group.memberCount === 2, "the group's row");
  await group.refreshMembers();
  assert.equal(group.memberCount, 2);
  const cid = userIdText(Uint8Array.from([0, 1, 0, 9, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]));
  w.log.append({ kind: 3, sender: cid, nick: "cid" });
  await until(() => group.memberCount === 3, "one more");
  w.log.append({ kind: 4, sender: BOB, nick: "bob" });
  await until(() => group.memberCount === 2, "one less");
  // Older entries tell nothing new of it.
  while (await group.loadOlder());
  assert.equal(group.memberCount, 2);
  await group.refreshMembers();
  assert.equal(group.memberCount, 2);
  w.close();
});
