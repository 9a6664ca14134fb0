/** Folkmoot client for browsers and Node: see README.md. */
export { badge } from "./badge.ts";
export { Folkmoot, type ClientEvents, type ClientState, type ConnectOptions } from "./client.ts";
export type { Unread, UnreadCount } from "./gen/folkmoot/v1/client_pb.ts";
export { genesis, type Entry, type EntryKind } from "./entry.ts";
export { Code, FolkmootError, LocalCode } from "./errors.ts";
export { Group, type GroupEvents, type GroupHead } from "./group.ts";
export {
  clientMsgIdText, groupIdBytes, groupIdText, hex, hlcMillis, messageIdBytes, messageIdText, newDevice,
  userIdBytes, userIdText,
} from "./ids.ts";
export type { Outgoing, SendState } from "./outbox.ts";
export type { Presence } from "./presence.ts";
export type { Cursor, Member, MemberPage, MemberQuery, ReaderPage, ReaderQuery, Receipts } from "./roster.ts";
export type { Socket, SocketConstructor } from "./session.ts";
