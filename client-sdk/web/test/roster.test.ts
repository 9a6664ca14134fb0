import assert from "node:assert/strict";
import test from "node:test";

import { create } from "@bufbuild/protobuf";

import type { Entry } from "../src/entry.ts";
import { GroupValueSchema, MemberStatus, MemberValueSchema } from "../src/gen/folkmoot/v1/entry_pb.ts";
import { Roster } from "../src/roster.ts";

function group(seq: number, quiet: number, memberCount: number) {
  return create(GroupValueSchema, { seq: BigInt(seq), quiet: BigInt(quiet), memberCount });
}

function member(seq: number, quiet: number, status: MemberStatus) {
  const authority = { seq: BigInt(seq), quiet: BigInt(quiet), status, role: 2 };
  return create(MemberValueSchema, { authority, self: { nick: "bob" } });
}

function entry(seq: number, kind: "join" | "leave", sender: string): Entry {
  return { seq, kind, sender, subject: "", nick: sender, text: "" } as unknown as Entry;
}

test("joins without an entry are counted by the group's own row, each state once", () => {
  const roster = new Roster();
  roster.group(group(5, 2, 7));
  roster.group(group(5, 1, 6));
  assert.equal(roster.count, 7);
  // Entries behind it count by themselves, and the next row knows of them.
  roster.entry(entry(5, "leave", "ann"));
  assert.equal(roster.count, 7);
  roster.entry(entry(6, "leave", "cid"));
  assert.equal(roster.count, 6);
  roster.group(group(6, 1, 7));
  assert.equal(roster.count, 7);
});

test("of two rows of one member the later stands, whichever comes first", () => {
  const left = member(4, 0, MemberStatus.LEFT);
  const back = member(4, 3, MemberStatus.MEMBER);
  for (const rows of [[left, back], [back, left]]) {
    const roster = new Roster();
    for (const row of rows) roster.member("bob", row);
    assert.equal(roster.members.get("bob")?.nick, "bob");
  }
  const roster = new Roster();
  roster.member("bob", back);
  roster.entry(entry(5, "leave", "bob"));
  assert.equal(roster.members.size, 0);
});
