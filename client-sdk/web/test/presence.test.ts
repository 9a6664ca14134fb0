import assert from "node:assert/strict";
import test from "node:test";
import { ANN, BOB, GROUP, until, world } from "./support/harness.ts";

test("who is watched is seen to come, write and go", async () => {
  const w = world();
  w.log.is(ANN, true);
  const group = w.connect().group(GROUP);
  const seen: string[] = [];
  group.on("presence", (people) => seen.push([...people.values()].map((one) => `${one.user === BOB ? "bob" : "ann"}${one.typing ? "…" : ""}`).join(" ")));
  group.presence.watch([ANN, BOB]); // before there is a session
  await until(() => seen.length === 1, "the answer");
  w.log.is(BOB, true);
  w.log.is(BOB, true, true);
  w.log.is(BOB, false);
  await until(() => seen.length === 4, "the pushes");
  assert.deepEqual(seen, ["ann", "ann bob", "ann bob…", "ann"]);
  group.presence.watch([BOB]);
  assert.equal(group.presence.people.size, 0);
  w.close();
});

test("the next session is told whom to watch, and nobody is seen without one", async () => {
  const w = world();
  w.log.is(BOB, true);
  const group = w.connect().group(GROUP);
  const seen: number[] = [];
  group.on("presence", (people) => seen.push(people.size));
  group.presence.watch([BOB]);
  await until(() => seen.length === 1, "bob");
  w.network.cut();
  // Told, not looked at now and then: the next session may be there at once.
  await until(() => seen.length === 3, "nobody, and bob again");
  assert.deepEqual(seen, [1, 0, 1]);
  assert.equal(w.edge.requests.filter((request) => request === "watchPresence").length, 2);
  w.close();
});

test("the same people are asked for once", async () => {
  const w = world();
  const group = w.connect().group(GROUP);
  await until(() => group.tip !== undefined, "the head");
  for (let again = 0; again < 3; again++) group.presence.watch([BOB, ANN, BOB]);
  await group.presence.typing();
  await group.presence.stopped();
  assert.equal(w.edge.requests.filter((request) => request === "watchPresence").length, 1);
  assert.equal(w.edge.requests.filter((request) => request === "typing").length, 2);
  w.close();
});
