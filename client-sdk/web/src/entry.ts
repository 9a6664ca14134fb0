/**
 * The sealed entry: `chain = H(previous chain ‖ u32 length ‖ header ‖
 * H(salt length ‖ salt ‖ body))` with BLAKE3, as in the wire crate's `entry`.
 */
import { create, fromBinary } from "@bufbuild/protobuf";
import { blake3 } from "@noble/hashes/blake3.js";
import {
  ContentSchema, EntryHeaderSchema, JoinBodySchema, Kind, RenameBodySchema, SealedEntrySchema,
  type EntryHeader, type SealedEntry,
} from "./gen/folkmoot/v1/entry_pb.ts";
import { hlcMillis, messageIdText, sameBytes, userIdText } from "./ids.ts";

/** Length of a chain value, in bytes. */
export const CHAIN_LEN = 32;

const utf8 = new TextEncoder();

/** The chain before a group's first entry. `cluster` is the cluster's 16-byte id. */
export function genesis(cluster: Uint8Array, group: Uint8Array): Uint8Array {
  const hasher = blake3.create({ context: utf8.encode("folkmoot v1 chain") });
  return hasher.update(cluster).update(group).digest();
}

/** `H(u64 length of the salt ‖ salt ‖ body)`. */
export function bodyHash(salt: Uint8Array, body: Uint8Array): Uint8Array {
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(salt.length));
  return blake3.create().update(length).update(salt).update(body).digest();
}

/** The chain after an entry with this header and body hash. */
export function link(previous: Uint8Array, header: Uint8Array, hash: Uint8Array): Uint8Array {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, header.length);
  return blake3.create().update(previous).update(length).update(header).update(hash).digest();
}

/** Seals header and body bytes behind `previous`, as a sequencer does. For tests and fakes. */
export function seal(previous: Uint8Array, header: Uint8Array, salt: Uint8Array, body: Uint8Array): SealedEntry {
  const chain = link(previous, header, bodyHash(salt, body));
  return create(SealedEntrySchema, { header, salt, body, chain });
}

/** Whether `sealed` follows from `previous`. */
export function follows(sealed: SealedEntry, previous: Uint8Array): boolean {
  const erased = sealed.bodyHash.length > 0;
  if (erased && sealed.bodyHash.length !== CHAIN_LEN) return false;
  const hash = erased ? sealed.bodyHash : bodyHash(sealed.salt, sealed.body);
  return sameBytes(link(previous, sealed.header, hash), sealed.chain);
}

/** What an entry is, in the words of `folkmoot log --json`. */
export type EntryKind =
  | "message" | "action" | "join" | "leave" | "rename" | "notice" | "create" | "role" | "mute" | "ban"
  | "unban" | "profile" | "edit" | "recall" | "dissolve" | "listed" | "unknown";

const KINDS: Record<number, EntryKind> = {
  [Kind.MESSAGE]: "message", [Kind.ACTION]: "action", [Kind.JOIN]: "join", [Kind.LEAVE]: "leave",
  [Kind.RENAME]: "rename", [Kind.NOTICE]: "notice", [Kind.CREATE]: "create", [Kind.ROLE]: "role",
  [Kind.MUTE]: "mute", [Kind.BAN]: "ban", [Kind.UNBAN]: "unban", [Kind.PROFILE]: "profile",
  [Kind.EDIT]: "edit", [Kind.RECALL]: "recall", [Kind.DISSOLVE]: "dissolve", [Kind.LISTED]: "listed",
};

/** One entry of a group's log, read. */
export interface Entry {
  readonly seq: number;
  readonly hlc: bigint;
  /** Milliseconds since 1970, by the entry's HLC. */
  readonly time: number;
  /** Text of the message id. */
  readonly id: string;
  readonly kind: EntryKind;
  /** User id; empty: the system. */
  readonly sender: string;
  /** The sender's nick at this entry. */
  readonly nick: string;
  /** User id acted on; empty: none. */
  readonly subject: string;
  /** The text of a message, action, notice or edit; the nick of a join; the new nick of a rename. */
  readonly text: string;
  /** Salt and body were dropped. */
  readonly erased: boolean;
  /** User ids. */
  readonly mentions: readonly string[];
  readonly mentionsAll: boolean;
  /** Running number of countable entries, this one included. */
  readonly count: number;
  readonly atAll: number;
  readonly clientMsgId: Uint8Array;
  readonly device: bigint;
  readonly chain: Uint8Array;
  readonly header: EntryHeader;
}

const userText = (id: Uint8Array): string => (id.length === 0 ? "" : userIdText(id));

function bodyText(kind: EntryKind, body: Uint8Array): string {
  switch (kind) {
    case "message":
    case "action":
    case "notice":
    case "edit":
      return fromBinary(ContentSchema, body).text;
    case "join":
      return fromBinary(JoinBodySchema, body).nick;
    case "rename":
      return fromBinary(RenameBodySchema, body).to;
    default:
      return "";
  }
}

/** Reads a sealed entry; throws when header or ids are not what they should be. */
export function readEntry(sealed: SealedEntry): Entry {
  const header = fromBinary(EntryHeaderSchema, sealed.header);
  const kind = KINDS[header.kind] ?? "unknown";
  const erased = sealed.bodyHash.length > 0;
  let text = "";
  try {
    if (!erased) text = bodyText(kind, sealed.body);
  } catch {
    // A body that is opaque or of a newer kind is no reason to lose the entry.
  }
  return {
    seq: Number(header.seq),
    hlc: header.hlc,
    time: hlcMillis(header.hlc),
    id: header.id.length === 0 ? "" : messageIdText(header.id),
    kind,
    sender: userText(header.sender),
    nick: header.nick,
    subject: userText(header.subject),
    text,
    erased,
    mentions: header.mentions.map(userText),
    mentionsAll: header.mentionsAll,
    count: Number(header.count),
    atAll: Number(header.atAll),
    clientMsgId: header.clientMsgId,
    device: header.device,
    chain: sealed.chain,
    header,
  };
}
