import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { create } from "@bufbuild/protobuf";
import { follows, genesis } from "../src/entry.ts";
import { SealedEntrySchema } from "../src/gen/folkmoot/v1/entry_pb.ts";
import {
  base32Decode, base32Encode, clientMsgIdText, groupIdBytes, groupIdText, hex, hlcMillis, messageIdBytes,
  messageIdText, newClientMsgId, userIdBytes, userIdText,
} from "../src/ids.ts";

// Made by the wire crate: ids, and a log of three entries, the second erased.
interface Vectors {
  ids: { kind: string; text: string; bytes: string }[];
  log: {
    cluster: string; group: string; genesis: string;
    entries: { header: string; salt: string; body: string; bodyHash: string; chain: string }[];
  };
}
const vectors = JSON.parse(readFileSync("test/vectors.json", "utf8")) as Vectors;
const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"));

test("ids have the text that the wire crate gives them", () => {
  assert.ok(vectors.ids.length >= 15);
  for (const { kind, text, bytes } of vectors.ids) {
    const id = unhex(bytes);
    if (kind === "user") {
      assert.equal(userIdText(id), text);
      assert.equal(hex(userIdBytes(text)), bytes);
      assert.throws(() => groupIdBytes(text), /not a group id/);
    } else if (kind === "group") {
      assert.equal(groupIdText(id), text);
      assert.equal(hex(groupIdBytes(text)), bytes);
      assert.throws(() => userIdBytes(text), /not a user id/);
    } else if (kind === "message") {
      assert.equal(messageIdText(id), text);
      assert.equal(hex(messageIdBytes(text)), bytes);
    } else {
      assert.equal(clientMsgIdText(id), text);
    }
  }
});

test("an id has one text only", () => {
  assert.equal(base32Decode("zz", 1), undefined, "bits left over");
  assert.deepEqual(base32Decode(base32Encode(Uint8Array.of(255)), 1), Uint8Array.of(255));
  const good = vectors.ids[0]?.text as string;
  for (const bad of ["", "u", good.toUpperCase(), `${good}0`, good.slice(0, -1), `x${good.slice(1)}`, `${good.slice(0, -1)}u`]) {
    assert.throws(() => userIdBytes(bad), TypeError, bad);
  }
  assert.throws(() => userIdText(new Uint8Array(15)), TypeError);
  assert.throws(() => messageIdBytes("m0"), TypeError);
});

test("a client message id is the edge's stamp, big endian, and 8 random bytes", () => {
  const id = newClientMsgId(0x0102030405060708n);
  assert.equal(hex(id.subarray(0, 8)), "0102030405060708");
  assert.equal(id.length, 16);
  assert.notEqual(hex(id), hex(newClientMsgId(0x0102030405060708n)));
  assert.equal(hlcMillis((1_700_000_000_123n << 16n) | 9n), 1_700_000_000_123);
});

test("the chain is that of the wire crate, over an erased entry too", () => {
  const { cluster, group, genesis: start, entries } = vectors.log;
  let chain = genesis(unhex(cluster), groupIdBytes(group));
  assert.equal(hex(chain), start);
  for (const entry of entries) {
    const sealed = create(SealedEntrySchema, {
      header: unhex(entry.header), salt: unhex(entry.salt), body: unhex(entry.body),
      bodyHash: unhex(entry.bodyHash), chain: unhex(entry.chain),
    });
    assert.ok(follows(sealed, chain));
    assert.ok(!follows(sealed, unhex("00".repeat(32))));
    assert.ok(!follows({ ...sealed, header: sealed.header.subarray(1) }, chain));
    chain = sealed.chain;
  }
});
