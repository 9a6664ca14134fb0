/**
 * A cluster made of nothing, for tests: logs in memory, and edges that speak
 * the protocol through the schema. Faults are switched on by hand.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { genesis, seal } from "../../src/entry.ts";
import {
  ContentSchema, EntryHeaderSchema, HeadSchema, JoinBodySchema, Kind, MemberStatus, RenameBodySchema, RowSchema,
  type Head, type SealedEntry,
} from "../../src/gen/folkmoot/v1/entry_pb.ts";
import { groupIdBytes, sameBytes, userIdBytes } from "../../src/ids.ts";

export interface Said {
  kind?: Kind;
  sender: string;
  nick: string;
  text?: string;
  subject?: string;
  mentions?: string[];
  clientMsgId?: Uint8Array;
  body?: Uint8Array;
}

export interface Pushed {
  log: FakeLog;
  seq: number;
  rows?: ReturnType<typeof create<typeof RowSchema>>[];
  /** A user who is otherwise now. */
  user?: string;
}

/** One group's log and rows. */
export class FakeLog {
  readonly id: string;
  readonly bytes: Uint8Array;
  readonly entries: SealedEntry[] = [];
  readonly counts: number[] = [];
  readonly cursors = new Map<string, number>();
  readonly members = new Map<string, { nick: string; seq: number }>();
  readonly online = new Set<string>();
  readonly typing = new Set<string>();
  readonly byClientMsgId = new Map<string, number>();
  readonly genesis: Uint8Array;
  floor = 0;
  #hlc = 1_300_000_000_000n << 16n;
  readonly listeners = new Set<(pushed: Pushed) => void>();

  constructor(id: string) {
    this.id = id;
    this.bytes = groupIdBytes(id);
    this.genesis = genesis(new Uint8Array(16), this.bytes);
  }

  chain(seq: number): Uint8Array {
    return seq === 0 ? this.genesis : (this.entries[seq - 1] as SealedEntry).chain;
  }

  head(): Head {
    const seq = this.entries.length;
    return create(HeadSchema, {
      seq: BigInt(seq), hlc: this.#hlc, chain: this.chain(seq), count: BigInt(this.counts.at(-1) ?? 0),
      ...(this.floor > 0 ? { floor: { seq: BigInt(this.floor), chain: this.chain(this.floor) } } : {}),
    });
  }

  /** Appends, and tells the listeners. Returns the seq. */
  append(said: Said, now?: number): number {
    const kind = said.kind ?? Kind.MESSAGE;
    const seq = this.entries.length + 1;
    const countable = kind === Kind.MESSAGE || kind === Kind.ACTION;
    const count = (this.counts.at(-1) ?? 0) + (countable ? 1 : 0);
    const stamp = now === undefined ? this.#hlc + (1000n << 16n) : BigInt(now) << 16n;
    this.#hlc = stamp > this.#hlc ? stamp : this.#hlc + 1n;
    const text = said.text ?? "";
    const body = said.body ?? (kind === Kind.JOIN
      ? toBinary(JoinBodySchema, create(JoinBodySchema, { nick: said.nick, role: 2 }))
      : kind === Kind.RENAME
        ? toBinary(RenameBodySchema, create(RenameBodySchema, { from: said.nick, to: text }))
        : toBinary(ContentSchema, create(ContentSchema, { text })));
    const id = new Uint8Array(12);
    new DataView(id.buffer).setBigUint64(0, this.#hlc);
    const header = toBinary(EntryHeaderSchema, create(EntryHeaderSchema, {
      seq: BigInt(seq), hlc: this.#hlc, epoch: { generation: 1, term: 1n }, id, kind,
      sender: said.sender === "" ? new Uint8Array() : userIdBytes(said.sender), nick: said.nick, countable,
      count: BigInt(count), clientMsgId: said.clientMsgId ?? new Uint8Array(),
      mentions: (said.mentions ?? []).map(userIdBytes),
      subject: said.subject === undefined ? new Uint8Array() : userIdBytes(said.subject),
    }));
    const salt = new Uint8Array(16).fill(seq);
    this.entries.push(seal(this.chain(seq - 1), header, salt, body));
    this.counts.push(count);
    if (kind === Kind.JOIN) this.members.set(said.subject ?? said.sender, { nick: said.nick, seq });
    if (kind === Kind.LEAVE) this.members.delete(said.subject ?? said.sender);
    const member = this.members.get(said.sender);
    if (kind === Kind.RENAME && member !== undefined) member.nick = text;
    if (countable && said.sender !== "") this.cursors.set(said.sender, seq);
    for (const listener of [...this.listeners]) listener({ log: this, seq });
    return seq;
  }

  cursorValue(user: string): { seq: bigint; count: bigint; atAll: bigint } {
    const seq = this.cursors.get(user) ?? 0;
    return { seq: BigInt(seq), count: BigInt(seq === 0 ? 0 : (this.counts[seq - 1] ?? 0)), atAll: 0n };
  }

  memberValue(user: string) {
    const member = this.members.get(user);
    return {
      authority: {
        seq: BigInt(member?.seq ?? 0), role: 2,
        status: member === undefined ? MemberStatus.NONE : MemberStatus.MEMBER,
      },
      self: { nick: member?.nick ?? "" },
    };
  }

  /** A user comes or goes, and is writing here or not. */
  is(user: string, online: boolean, typing = false): void {
    this.online[online ? "add" : "delete"](user);
    this.typing[typing ? "add" : "delete"](user);
    for (const listener of [...this.listeners]) listener({ log: this, seq: 0, user });
  }

  read(user: string, seq: number): void {
    this.cursors.set(user, Math.max(this.cursors.get(user) ?? 0, seq));
    const key = new Uint8Array(17);
    key[0] = 4;
    key.set(userIdBytes(user), 1);
    const row = create(RowSchema, { key, value: { case: "cursor", value: { $typeName: "folkmoot.v1.CursorValue", ...this.cursorValue(user) } } });
    for (const listener of [...this.listeners]) listener({ log: this, seq: 0, rows: [row] });
  }
}

export class FakeCluster {
  readonly logs: FakeLog[] = [];

  log(id: string): FakeLog {
    const log = new FakeLog(id);
    this.logs.push(log);
    return log;
  }

  find(bytes: Uint8Array): FakeLog | undefined {
    return this.logs.find((log) => sameBytes(log.bytes, bytes));
  }
}
