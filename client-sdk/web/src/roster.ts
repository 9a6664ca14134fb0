/** Members and read cursors of one group: rows, merged by their rules. */
import type { Entry } from "./entry.ts";
import type { Members, Readers } from "./gen/folkmoot/v1/client_pb.ts";
import { MemberStatus, type CursorValue, type GroupValue, type MemberValue, type Row } from "./gen/folkmoot/v1/entry_pb.ts";
import { userIdText } from "./ids.ts";
import { MEMBERS_MAX } from "./limits.ts";

/** How far a user has read. */
export interface Cursor {
  readonly seq: number;
  readonly count: number;
  readonly atAll: number;
}

/** A member of a group. */
export interface Member {
  readonly user: string;
  readonly nick: string;
  /** Number of the schema's Role. */
  readonly role: number;
}

/** Which members to find: those of a role, or by nick. */
export interface MemberQuery {
  /** What the nick begins with, in upper or lower case. */
  readonly prefix?: string;
  /** Number of the schema's Role; leave `prefix` out then. */
  readonly role?: number;
  readonly page?: Uint8Array;
  readonly limit?: number;
}

/** A page of them. */
export interface MemberPage {
  readonly members: readonly Member[];
  readonly next: Uint8Array | undefined;
  /** How many members there are of each role, by its number; empty behind the first page. */
  readonly counts: ReadonlyMap<number, number>;
}

/** How many have read entries. */
export interface Receipts {
  /** By the entries' seqs. */
  readonly readers: ReadonlyMap<number, number>;
  /** Members of the group, now. */
  readonly members: number;
}

/** Who has read an entry, or with `unread` who has not. */
export interface ReaderQuery {
  readonly unread?: boolean;
  readonly page?: Uint8Array;
  /** Members looked at for this page. */
  readonly limit?: number;
}

/** A page of them. */
export interface ReaderPage {
  readonly members: readonly Member[];
  readonly next: Uint8Array | undefined;
}

const membersOf = (rows: Members["members"]): Member[] =>
  rows.map(({ user, value }) => ({ user: userIdText(user), nick: value?.self?.nick ?? "", role: value?.authority?.role ?? 0 }));

const nextOf = (next: Uint8Array) => (next.length === 0 ? undefined : next);

export const readersPage = (answer: Readers): ReaderPage => ({ members: membersOf(answer.members), next: nextOf(answer.next) });

export function memberPage(answer: Members): MemberPage {
  return {
    members: membersOf(answer.members),
    next: nextOf(answer.next),
    counts: new Map(answer.counts.map(({ role, members }) => [role, Number(members)])),
  };
}

const ROW_GROUP = 1;
const ROW_MEMBER = 3;
const ROW_CURSOR = 4;

/** By what a row is later than others: an entry, and which change without one behind it. */
interface Place {
  readonly seq: number;
  readonly quiet: number;
}

const NOWHERE: Place = { seq: 0, quiet: 0 };

function placeOf(value: { readonly seq: bigint; readonly quiet: bigint } | undefined): Place {
  return value === undefined ? NOWHERE : { seq: Number(value.seq), quiet: Number(value.quiet) };
}

function isBefore(one: Place, other: Place): boolean {
  return one.seq < other.seq || (one.seq === other.seq && one.quiet < other.quiet);
}

export class Roster {
  readonly cursors = new Map<string, Cursor>();
  readonly members = new Map<string, Member>();
  #count: number | undefined;
  /** What `#count` is of. */
  #countPlace = NOWHERE;
  #authority = new Map<string, Place>();

  /** How many members there are: by the group's own row, and what came behind it. */
  get count(): number | undefined {
    return this.#count;
  }

  /** The group's own row. */
  group(value: GroupValue | undefined): void {
    if (value === undefined) return;
    const place = placeOf(value);
    if (this.#count !== undefined && isBefore(place, this.#countPlace)) return;
    this.#count = value.memberCount;
    this.#countPlace = place;
  }

  /** An entry that let one in or out. One that the row knows of changes nothing. */
  #counts(seq: number, change: number): void {
    if (this.#count === undefined || seq <= this.#countPlace.seq) return;
    this.#count += change;
    this.#countPlace = { seq, quiet: 0 };
  }

  /** Merges a cursor: the greater seq stands. True when it moved. */
  cursor(user: string, value: CursorValue | Cursor | undefined): boolean {
    if (value === undefined) return false;
    const seq = Number(value.seq);
    if (seq <= (this.cursors.get(user)?.seq ?? 0)) return false;
    this.cursors.set(user, { seq, count: Number(value.count), atAll: Number(value.atAll) });
    return true;
  }

  /** Merges a member row: the later authority stands. */
  member(user: string, value: MemberValue | undefined): boolean {
    if (value === undefined) return false;
    const place = placeOf(value.authority);
    if (isBefore(place, this.#authority.get(user) ?? NOWHERE)) return false;
    this.#set(user, place, value.authority?.status === MemberStatus.MEMBER
      ? { user, nick: value.self?.nick || this.members.get(user)?.nick || "", role: value.authority.role }
      : undefined);
    return true;
  }

  /** What an entry does to the members. True when it did. */
  entry(entry: Entry): boolean {
    const known = this.members.get(entry.subject || entry.sender);
    const user = entry.subject || entry.sender;
    if (entry.seq <= (this.#authority.get(user) ?? NOWHERE).seq) return false;
    const place = { seq: entry.seq, quiet: 0 };
    switch (entry.kind) {
      case "join":
        this.#counts(entry.seq, 1);
        this.#set(user, place, { user, nick: entry.text || entry.nick, role: known?.role ?? 2 });
        return true;
      case "leave":
      case "ban":
        // One who is no member can be banned too.
        if (entry.kind === "leave" || known !== undefined) this.#counts(entry.seq, -1);
        this.#set(user, place, undefined);
        return true;
      case "rename":
        if (known === undefined) return false;
        this.members.set(user, { ...known, nick: entry.text });
        return true;
      default:
        return false;
    }
  }

  /** Rows that changed. Rows of kinds unknown here are passed over. */
  rows(rows: readonly Row[]): { cursors: boolean; members: boolean } {
    const changed = { cursors: false, members: false };
    for (const row of rows) {
      const kind = row.key[0];
      if (kind === ROW_GROUP && row.value.case === "group") {
        this.group(row.value.value);
        changed.members = true;
      } else if (kind === ROW_CURSOR && row.value.case === "cursor" && row.key.length === 17) {
        changed.cursors = this.cursor(userIdText(row.key.subarray(1)), row.value.value) || changed.cursors;
      } else if (kind === ROW_MEMBER && row.value.case === "member" && row.key.length === 17) {
        changed.members = this.member(userIdText(row.key.subarray(1)), row.value.value) || changed.members;
      }
    }
    return changed;
  }

  #set(user: string, place: Place, member: Member | undefined): void {
    const had = this.members.has(user);
    this.#authority.set(user, place);
    if (member === undefined) this.members.delete(user);
    else if (had || this.members.size < MEMBERS_MAX) this.members.set(user, member);
    if (this.#authority.size > MEMBERS_MAX * 2) {
      // Bounded: the oldest mark goes. A row that comes late again carries its seq.
      const oldest = this.#authority.keys().next().value;
      if (oldest !== undefined) this.#authority.delete(oldest);
    }
  }
}
