/** Members and read cursors of one group: rows, merged by their rules. */
import type { Entry } from "./entry.ts";
import { MemberStatus, type CursorValue, type MemberValue, type Row } from "./gen/folkmoot/v1/entry_pb.ts";
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

const ROW_GROUP = 1;
const ROW_MEMBER = 3;
const ROW_CURSOR = 4;

export class Roster {
  readonly cursors = new Map<string, Cursor>();
  readonly members = new Map<string, Member>();
  /** Members by the group's own row; undefined until it was read. */
  count: number | undefined;
  #authority = new Map<string, number>();

  /** Merges a cursor: the greater seq stands. True when it moved. */
  cursor(user: string, value: CursorValue | Cursor | undefined): boolean {
    if (value === undefined) return false;
    const seq = Number(value.seq);
    if (seq <= (this.cursors.get(user)?.seq ?? 0)) return false;
    this.cursors.set(user, { seq, count: Number(value.count), atAll: Number(value.atAll) });
    return true;
  }

  /** Merges a member row: the authority with the greater seq stands. */
  member(user: string, value: MemberValue | undefined): boolean {
    const seq = Number(value?.authority?.seq ?? 0n);
    if (value === undefined || seq < (this.#authority.get(user) ?? 0)) return false;
    this.#set(user, seq, value.authority?.status === MemberStatus.MEMBER
      ? { user, nick: value.self?.nick || this.members.get(user)?.nick || "", role: value.authority.role }
      : undefined);
    return true;
  }

  /** What an entry does to the members. True when it did. */
  entry(entry: Entry): boolean {
    const known = this.members.get(entry.subject || entry.sender);
    const user = entry.subject || entry.sender;
    if (entry.seq <= (this.#authority.get(user) ?? 0)) return false;
    switch (entry.kind) {
      case "join":
        this.#set(user, entry.seq, { user, nick: entry.text || entry.nick, role: known?.role ?? 2 });
        return true;
      case "leave":
      case "ban":
        this.#set(user, entry.seq, undefined);
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
        this.count = row.value.value.memberCount;
        changed.members = true;
      } else if (kind === ROW_CURSOR && row.value.case === "cursor" && row.key.length === 17) {
        changed.cursors = this.cursor(userIdText(row.key.subarray(1)), row.value.value) || changed.cursors;
      } else if (kind === ROW_MEMBER && row.value.case === "member" && row.key.length === 17) {
        changed.members = this.member(userIdText(row.key.subarray(1)), row.value.value) || changed.members;
      }
    }
    return changed;
  }

  #set(user: string, seq: number, member: Member | undefined): void {
    const had = this.members.has(user);
    this.#authority.set(user, seq);
    if (member === undefined) this.members.delete(user);
    else if (had || this.members.size < MEMBERS_MAX) this.members.set(user, member);
    if (this.count !== undefined && had !== (member !== undefined)) this.count += had ? -1 : 1;
    if (this.#authority.size > MEMBERS_MAX * 2) {
      // Bounded: the oldest mark goes. A row that comes late again carries its seq.
      const oldest = this.#authority.keys().next().value;
      if (oldest !== undefined) this.#authority.delete(oldest);
    }
  }
}
