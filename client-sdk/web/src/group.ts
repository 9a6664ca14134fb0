/** One group: its timeline, what is being sent to it, its cursors and members. */
import { create, toBinary } from "@bufbuild/protobuf";
import { Emitter } from "./emitter.ts";
import { readEntry, type Entry } from "./entry.ts";
import { FolkmootError, LocalCode, asError, disconnected } from "./errors.ts";
import {
  GetCursorsSchema, GetGroupSchema, GetMembersSchema, GetReadersSchema, GetReceiptsSchema, MarkReadSchema, MemberOrder,
  SendSchema,
  type Activated, type Bump, type Deliver, type Gap, type GroupInfo, type Presences, type Resume, type RowsChanged, type Sent, type Tentative,
} from "./gen/folkmoot/v1/client_pb.ts";
import { ContentSchema, Kind, type Head } from "./gen/folkmoot/v1/entry_pb.ts";
import { clientMsgIdText, groupIdText, newClientMsgId, sameBytes, userIdBytes, userIdText } from "./ids.ts";
import { MEMBERS_MAX, TENTATIVE_MAX } from "./limits.ts";
import { Outbox, type Outgoing } from "./outbox.ts";
import { memberPage, readersPage, Roster, type Cursor, type Member, type MemberPage, type MemberQuery } from "./roster.ts";
import type { ReaderPage, ReaderQuery, Receipts } from "./roster.ts";
import { PresenceWatch, type Presence } from "./presence.ts";
import type { Session } from "./session.ts";
import { Sync } from "./sync.ts";
import { Timeline } from "./timeline.ts";

/** Where the group's log ends, as far as this client knows. */
export interface GroupHead {
  readonly seq: number;
  readonly count: number;
  readonly atAll: number;
}

export type GroupEvents = {
  /** Entries were added behind the last one; in order, each once. */
  entries: readonly Entry[];
  /** Older entries were added before the first one. */
  older: readonly Entry[];
  /** The timeline was dropped and is read anew. */
  reset: undefined;
  /** A message changed its state. */
  outbox: readonly Outgoing[];
  /** What others of this region said while the group's home cannot be reached. */
  tentative: readonly Entry[];
  /** The head moved. */
  head: GroupHead;
  cursors: ReadonlyMap<string, Cursor>;
  members: ReadonlyMap<string, Member>;
  /** Those of the watched who are there. */
  presence: ReadonlyMap<string, Presence>;
  error: FolkmootError;
};

export interface GroupOptions {
  /** Entries held at most. */
  maxEntries?: number | undefined;
  random: () => number;
}

/** What a message is recognised by before and after it is committed. */
const attempt = (of: { sender: string; device: bigint; clientMsgId: Uint8Array }): string =>
  of.clientMsgId.length === 0 ? "" : `${of.sender} ${of.device} ${clientMsgIdText(of.clientMsgId)}`;

export class Group extends Emitter<GroupEvents> {
  /** Text of the id. */
  readonly id: string;
  /** Who is there, and who is writing. */
  readonly presence: PresenceWatch;
  readonly #bytes: Uint8Array;
  readonly #timeline: Timeline;
  readonly #sync: Sync;
  readonly #outbox: Outbox;
  readonly #roster = new Roster();
  readonly #tentative = new Map<string, Entry>();
  #session: Session | undefined;
  #head: GroupHead = { seq: 0, count: 0, atAll: 0 };
  #lost: FolkmootError | undefined;

  /** Made by `Folkmoot.group`. */
  constructor(bytes: Uint8Array, options: GroupOptions) {
    super();
    this.id = groupIdText(bytes);
    this.#bytes = bytes;
    this.presence = new PresenceWatch(bytes, () => this.emit("presence", this.presence.people));
    this.#timeline = new Timeline(options.maxEntries);
    this.#sync = new Sync(bytes, this.#timeline, {
      appended: (entries) => this.#appended(entries),
      prepended: (entries) => this.emit("older", entries),
      reset: () => this.emit("reset", undefined),
      head: (head) => this.#sawHead(head),
      error: (error) => this.emit("error", error),
      random: options.random,
    });
    this.#outbox = new Outbox({
      newId: () => (this.#session === undefined ? undefined : newClientMsgId(this.#session.stamp)),
      transmit: (item) => this.#transmit(item),
      changed: () => this.emit("outbox", this.#outbox.items),
      random: options.random,
    });
  }

  /** The gapless window of the log: oldest first, each entry once. */
  get entries(): readonly Entry[] {
    return this.#timeline.entries;
  }
  /** The last seq covered and the chain there; undefined before the first page. */
  get tip(): { readonly seq: number; readonly chain: Uint8Array } | undefined {
    return this.#timeline.resume;
  }
  /** Whether nothing older can be loaded. */
  get complete(): boolean {
    return this.#sync.complete;
  }
  get head(): GroupHead {
    return this.#head;
  }
  /** Messages on their way, in the order they were written. */
  get outgoing(): readonly Outgoing[] {
    return this.#outbox.items;
  }
  /** What others of this region said and is in no log yet: by time, without seq. */
  get tentative(): readonly Entry[] {
    return [...this.#tentative.values()].sort((a, b) => (a.hlc < b.hlc ? -1 : 1));
  }
  get cursors(): ReadonlyMap<string, Cursor> {
    return this.#roster.cursors;
  }
  /** Members known here; all of them in groups of up to MEMBERS_MAX. */
  get members(): ReadonlyMap<string, Member> {
    return this.#roster.members;
  }
  /** How many members the group has; undefined until it is known. */
  get memberCount(): number | undefined {
    return this.#roster.count;
  }
  /** Why the group cannot be read any more. */
  get lost(): FolkmootError | undefined {
    return this.#lost;
  }
  /** Text of the own user id, once connected. */
  get me(): string | undefined {
    const user = this.#session?.welcome.user;
    return user === undefined || user.length === 0 ? undefined : userIdText(user);
  }
  /** Countable entries behind the own cursor. */
  get unread(): number {
    const own = this.me === undefined ? undefined : this.#roster.cursors.get(this.me);
    return Math.max(0, this.#head.count - (own?.count ?? 0));
  }

  /** Queues a text message; messages go out in the order of these calls. */
  send(text: string, options: { action?: boolean; mentions?: readonly string[] } = {}): Outgoing {
    return this.#outbox.add(text, options.action ?? false, options.mentions ?? []);
  }
  /** Tries a failed message again. */
  retry(outgoing: Outgoing): void {
    this.#outbox.retry(outgoing);
  }
  /** Forgets a failed message. */
  discard(outgoing: Outgoing): void {
    this.#outbox.discard(outgoing);
  }

  /** Fetches older entries. True when there may be more. Rejects with a FolkmootError. */
  loadOlder(limit?: number): Promise<boolean> {
    return this.#sync.loadOlder(limit);
  }

  /** Moves the own read cursor up to `seq`, the last entry held unless told; never back. */
  async markRead(seq: number = this.tip?.seq ?? 0): Promise<void> {
    const session = this.#need();
    const me = this.me;
    if (seq === 0 || (me !== undefined && (this.#roster.cursors.get(me)?.seq ?? 0) >= seq)) return;
    await session.request(
      { case: "markRead", value: create(MarkReadSchema, { group: this.#bytes, seq: BigInt(seq) }) }, "ok",
    );
    const entry = this.entries.findLast((e) => e.seq <= seq);
    if (me !== undefined && entry !== undefined) {
      if (this.#roster.cursor(me, { seq, count: entry.count, atAll: entry.atAll })) {
        this.emit("cursors", this.#roster.cursors);
      }
    }
  }

  /** Reads cursors: of these users, or of all members of a small group. */
  async refreshCursors(users: readonly string[] = []): Promise<ReadonlyMap<string, Cursor>> {
    const value = create(GetCursorsSchema, { group: this.#bytes, users: users.map(userIdBytes) });
    const answer = await this.#need().request({ case: "getCursors", value }, "cursors");
    let moved = false;
    for (const { user, cursor } of answer.cursors) {
      moved = this.#roster.cursor(userIdText(user), cursor) || moved;
    }
    if (moved) this.emit("cursors", this.#roster.cursors);
    return this.#roster.cursors;
  }

  /** Reads the member list page by page, up to MEMBERS_MAX, and the group's row. */
  async refreshMembers(): Promise<ReadonlyMap<string, Member>> {
    await this.info();
    let page: Uint8Array = new Uint8Array();
    for (let read = 0; read < MEMBERS_MAX; ) {
      const value = create(GetMembersSchema, { group: this.#bytes, page, limit: 500 });
      const answer = await this.#need().request({ case: "getMembers", value }, "members");
      for (const member of answer.members) this.#roster.member(userIdText(member.user), member.value);
      read += Math.max(1, answer.members.length);
      page = answer.next;
      if (page.length === 0) break;
    }
    this.emit("members", this.#roster.members);
    return this.#roster.members;
  }

  /**
   * Members in the order of their nicks: all, or those whose nick begins with `prefix`; with
   * `role`, those of one role. A page at a time, whatever the size of the group: `next` of one is
   * `page` of the following, and is absent behind the last. `counts` comes with the first page.
   */
  async findMembers(wanted: MemberQuery = {}): Promise<MemberPage> {
    const value = create(GetMembersSchema, {
      group: this.#bytes,
      page: wanted.page ?? new Uint8Array(),
      limit: wanted.limit ?? 100,
      ...(wanted.role === undefined
        ? { order: MemberOrder.NICK, prefix: wanted.prefix ?? "" }
        : { order: MemberOrder.ROLE, role: wanted.role }),
    });
    const answer = await this.#need().request({ case: "getMembers", value }, "members");
    return memberPage(answer);
  }

  /**
   * How many have read each of these entries, or what comes behind it; its sender is one of them.
   * At most 100 entries.
   */
  async receipts(seqs: readonly number[]): Promise<Receipts> {
    const value = create(GetReceiptsSchema, { group: this.#bytes, seqs: seqs.map(BigInt) });
    const answer = await this.#need().request({ case: "getReceipts", value }, "receipts");
    const readers = answer.readers.map((number, at) => [seqs[at] ?? 0, Number(number)] as const);
    return { readers: new Map(readers), members: Number(answer.members) };
  }

  /**
   * Who has read an entry, in groups of up to 200 members; with `unread`, who of those that may see
   * it has not, in groups of up to 10,000. A page at a time, on which there may be nobody: `next` of
   * one is `page` of the following, and is absent behind the last.
   */
  async readers(seq: number, wanted: ReaderQuery = {}): Promise<ReaderPage> {
    const { unread = false, page = new Uint8Array(), limit = 0 } = wanted;
    const value = create(GetReadersSchema, { group: this.#bytes, seq: BigInt(seq), unread, page, limit });
    return readersPage(await this.#need().request({ case: "getReaders", value }, "readers"));
  }

  /** Reads the group's row: name, kind, member count, home region. */
  async info(): Promise<GroupInfo> {
    const value = create(GetGroupSchema, { group: this.#bytes });
    const info = await this.#need().request({ case: "getGroup", value }, "group");
    this.#roster.group(info.value);
    if (info.head !== undefined) this.#sawHead(info.head);
    this.emit("members", this.#roster.members);
    return info;
  }

  /** @internal Whether this is the group's binary id. */
  matches(id: Uint8Array): boolean {
    return sameBytes(id, this.#bytes);
  }

  /** @internal */
  resumePoint(): Resume {
    return this.#sync.resume();
  }

  /** @internal A session is there. */
  async attach(session: Session, activated?: Activated): Promise<void> {
    this.#session = session;
    this.#tentative.clear(); // the edge tells anew what there is
    this.#outbox.again();
    const answer = await this.#sync.attach(session, activated);
    if (answer === undefined || this.#session !== session) return;
    this.#lost = undefined;
    this.presence.attach(session);
    const me = this.me;
    if (me !== undefined) this.#roster.cursor(me, answer.cursor);
    this.#outbox.kick();
    // Rows are hints here; where they cannot be had, the log goes on without.
    await Promise.all([this.refreshMembers().catch(() => {}), this.refreshCursors().catch(() => {})]);
    this.emit("cursors", this.#roster.cursors);
  }

  /** @internal The session is gone. */
  detach(): void {
    this.#session = undefined;
    this.presence.detach();
    this.#sync.detach();
  }

  /** @internal A push for this group. */
  push(body: { case: string; value: unknown }): void {
    switch (body.case) {
      case "activated":
        return this.#sync.activated(body.value as Activated);
      case "deliver":
        return this.#sync.deliver(body.value as Deliver);
      case "gap":
        return this.#sync.behind((body.value as Gap).head);
      case "bump":
        return this.#sync.behind((body.value as Bump).head);
      case "rowsChanged": {
        const changed = this.#roster.rows((body.value as RowsChanged).rows);
        if (changed.cursors) this.emit("cursors", this.#roster.cursors);
        if (changed.members) this.emit("members", this.#roster.members);
        return;
      }
      case "presenceChanged":
        return this.presence.told(body.value as Presences);
      case "tentative":
        return this.#tell(body.value as Tentative);
      case "accessLost":
        this.#lost = FolkmootError.of((body.value as { code: number }).code);
        this.emit("error", this.#lost);
    }
  }

  /** @internal */
  shut(): void {
    this.detach();
    this.#outbox.close();
  }

  #need(): Session {
    if (this.#session === undefined) throw disconnected("not connected now");
    return this.#session;
  }

  async #transmit(item: Outgoing): Promise<Sent> {
    const value = create(SendSchema, {
      group: this.#bytes,
      clientMsgId: item.clientMsgId ?? new Uint8Array(),
      kind: item.action ? Kind.ACTION : Kind.MESSAGE,
      body: toBinary(ContentSchema, create(ContentSchema, { text: item.text })),
      mentions: item.mentions.map(userIdBytes),
    });
    try {
      const sent = await this.#need().request({ case: "send", value }, "sent");
      // The reply may overtake the push, or come after it.
      queueMicrotask(() => this.#outbox.covered(this.#timeline.tip));
      return sent;
    } catch (thrown) {
      const error = asError(thrown);
      // Whatever ended the session, the same id goes out again on the next.
      if (this.#session === undefined || !this.#session.alive) {
        throw new FolkmootError(LocalCode.Disconnected, "disconnected", error.message, true);
      }
      throw error;
    }
  }

  #tell(push: Tentative): void {
    for (const sealed of push.entries) {
      const entry = readEntry(sealed);
      // One's own stand in the outbox, unless another device said them.
      const own = this.outgoing.some((item) => item.clientMsgId !== undefined && sameBytes(item.clientMsgId, entry.clientMsgId));
      if (!own && this.#tentative.size < TENTATIVE_MAX) this.#tentative.set(attempt(entry), entry);
    }
    for (const { sender, device, clientMsgId, seq, error } of push.settled) {
      const who = userIdText(sender);
      this.#tentative.delete(attempt({ sender: who, device, clientMsgId }));
      if (who === this.me) this.#outbox.settled(clientMsgId, error === undefined ? Number(seq) : FolkmootError.fromWire(error));
    }
    this.#outbox.covered(this.#timeline.tip);
    this.emit("tentative", this.tentative);
  }

  #appended(entries: readonly Entry[]): void {
    let members = false;
    let told = false;
    for (const entry of entries) {
      if (this.#tentative.size > 0) told = this.#tentative.delete(attempt(entry)) || told;
      members = this.#roster.entry(entry) || members;
      if (entry.sender !== "" && entry.sender === this.me) this.#outbox.seen(entry.clientMsgId, entry.seq);
    }
    const last = entries.at(-1);
    if (last !== undefined && last.seq > this.#head.seq) {
      this.#head = { seq: last.seq, count: last.count, atAll: last.atAll };
    }
    this.#outbox.covered(this.#timeline.tip);
    this.emit("entries", entries);
    if (told) this.emit("tentative", this.tentative);
    this.emit("head", this.#head);
    if (members) this.emit("members", this.#roster.members);
  }

  #sawHead(head: Head): void {
    if (Number(head.seq) <= this.#head.seq) return;
    this.#head = { seq: Number(head.seq), count: Number(head.count), atAll: Number(head.atAll) };
    this.emit("head", this.#head);
  }
}
