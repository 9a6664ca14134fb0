import assert from "node:assert/strict";
import test from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { badge } from "../src/badge.ts";
import { fullJitter } from "../src/backoff.ts";
import { Code, FolkmootError } from "../src/errors.ts";
import { ClosingSchema, ServerFrameSchema } from "../src/gen/folkmoot/v1/client_pb.ts";
import { BACKOFF_CAP_MS } from "../src/limits.ts";
import { groupIdText } from "../src/ids.ts";
import { closeError } from "../src/session.ts";
import { EdgeSettings } from "./support/fake_edge.ts";
import { ANN, BOB, GROUP, groupOf, range, until, watch, world } from "./support/harness.ts";

test("full jitter stays under a ceiling that doubles up to the cap", () => {
  assert.equal(fullJitter(0, () => 0), 0);
  assert.equal(fullJitter(0, () => 0.5), 125);
  assert.equal(fullJitter(3, () => 0.5), 1000);
  assert.equal(fullJitter(1_000, () => 0.999999), BACKOFF_CAP_MS - 1);
});

test("a close frame carries a code of the registry", () => {
  const of = (close: number, text: string) => {
    const { code, name, message, temporary } = closeError(close, text);
    return [code, name, message, temporary];
  };
  assert.deepEqual(of(4109, "109 reads too slowly"), [109, "slow_consumer", "reads too slowly", true]);
  assert.equal(of(4203, "")[1], "token_audience");
  assert.equal(of(4203, "")[3], false);
  assert.deepEqual(of(1006, ""), [1, "disconnected", "the connection ended: close code 1006", true]);
});

test("Hello carries version, token and device; Welcome tells who and where", async () => {
  const w = world();
  const client = w.connect({ device: 77n });
  const welcome = await client.ready;
  assert.equal(client.state, "online");
  assert.equal(client.device, 77n);
  assert.equal(welcome.region, "eu");
  const group = client.group(GROUP);
  assert.equal((await group.info()).value?.memberCount, 2);
  assert.equal(group.me, ANN);
  w.close();
  assert.equal(client.state, "closed");
});

test("what is unread is counted over all pages of groups", async () => {
  const w = world(3);
  const others = [2, 3].map((last) => {
    const log = w.cluster.log(groupOf(last));
    for (let i = 0; i < last * 50; i++) log.append({ sender: BOB, nick: "bob", text: `${i}` });
    return log;
  });
  w.cluster.log(groupOf(4));
  const client = w.connect();
  await client.ready;
  const unread = async () => (await client.unread()).groups.map((g) => [groupIdText(g.group), badge(g.unread)]);
  assert.deepEqual(await unread(), [[GROUP, "3"], [others[0]?.id, "99+"], [others[1]?.id, "99+"]]);
  others[0]?.read(ANN, 60);
  assert.deepEqual((await unread())[1], [others[0]?.id, "40"]);
  w.close();
});

test("a refused token stops the client; a function is asked for a new one", async () => {
  const w = world();
  const bad = w.connect({ token: "nobody" });
  await assert.rejects(bad.ready, (e: unknown) => e instanceof FolkmootError && e.code === Code.TokenSignature && !e.temporary);
  assert.equal(bad.state, "refused");
  const tokens = ["old", "older", "ann"];
  const good = w.connect({ token: async () => tokens.shift() ?? "none" });
  await good.ready;
  assert.deepEqual(tokens, []);
  w.close();
});

test("goes on to the next address when one is down or draining", async () => {
  const w = world(3);
  const other = new EdgeSettings();
  other.users = w.edge.users;
  other.region = "us";
  w.network.edges.set("ws://b", other);
  w.network.down.add("ws://a");
  const client = w.connect({ urls: ["ws://a", "ws://b"] });
  const group = client.group(GROUP);
  const seen = watch(group);
  await until(() => group.tip?.seq === 5, "the head");
  assert.equal(client.welcome?.region, "us");
  w.network.down.delete("ws://a");
  const [socket] = w.network.sockets;
  const closing = create(ServerFrameSchema, {
    body: { case: "closing", value: create(ClosingSchema, { code: Code.Draining, reason: "draining", retryAfterMs: 1n }) },
  });
  const states: string[] = [];
  client.on("error", (e) => states.push(e.name));
  socket?.deliver(toBinary(ServerFrameSchema, closing).slice().buffer);
  setImmediate(() => socket?.drop("drained"));
  await until(() => client.welcome?.region === "eu", "moved");
  assert.deepEqual(states, ["draining"]);
  w.log.append({ sender: ANN, nick: "ann", text: "after the move" });
  await until(() => group.tip?.seq === 6, "live again");
  assert.deepEqual(seen.shown, range(1, 6));
  w.close();
});

test("text and malformed frames end the connection, and it comes back", async () => {
  const w = world();
  const client = w.connect();
  const group = client.group(GROUP);
  await until(() => group.tip?.seq === 2, "the head");
  for (const bad of ["text", Uint8Array.of(0x1a, 5, 0x0a).buffer]) {
    const errors: string[] = [];
    const off = client.on("error", (e) => errors.push(e.name));
    const [socket] = w.network.sockets;
    socket?.deliver(bad);
    await until(() => errors.length === 1, "noticed");
    assert.deepEqual(errors, ["protocol"]);
    await until(() => client.state === "online", "back");
    off();
  }
  w.close();
});

test("a closed group gets nothing more", async () => {
  const w = world();
  const client = w.connect();
  const group = client.group(GROUP);
  const seen = watch(group);
  await until(() => group.tip?.seq === 2, "the head");
  client.closeGroup(GROUP);
  await until(() => w.log.listeners.size === 0, "deactivated");
  w.log.append({ sender: ANN, nick: "ann", text: "unseen" });
  const again = client.group(GROUP);
  await until(() => again.tip?.seq === 3, "opened anew");
  assert.deepEqual(seen.shown, [1, 2]);
  w.close();
});
