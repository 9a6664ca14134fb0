/** One session at an edge of the fake cluster. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, FolkmootError } from "../../src/errors.ts";
import {
  ActivatedSchema, ClientFrameSchema, CursorsSchema, DeliverSchema, ErrorSchema, GapSchema, GroupInfoSchema,
  LogSliceSchema, MemberOrder, MembersSchema, OkSchema, PongSchema, PresencesSchema, ReadersSchema, ReceiptsSchema, RowsChangedSchema, SentSchema, ServerFrameSchema,
  UnreadSchema, WelcomeSchema, type Activated, type ClientFrame, type History, type Resume, type Send, type ServerFrame,
} from "../../src/gen/folkmoot/v1/client_pb.ts";
import { Role } from "../../src/gen/folkmoot/v1/entry_pb.ts";
import { clientMsgIdText, hex, sameBytes, userIdBytes, userIdText } from "../../src/ids.ts";
import type { FakeCluster, FakeLog, Pushed } from "./fake_cluster.ts";

type Body = Exclude<ServerFrame["body"], { case: undefined }>;

/** What goes wrong, and where this edge stands. */
export class EdgeSettings {
  region = "eu";
  node = 1;
  cluster = "test";
  stamp = 5n << 16n;
  /** Users by token; another token is refused. */
  users = new Map<string, string>();
  nicks = new Map<string, string>();
  /** Live pushes that are lost. */
  dropPushes = 0;
  /** Live pushes are sent this many times. */
  copies = 1;
  /** Codes that the next sends are answered with. */
  refuseSends: number[] = [];
  /** The next sends are applied, but the connection ends before the answer. */
  loseAnswers = 0;
  /** Whether Welcome answers for the groups named in Hello. */
  answersHello = true;
  /** Deliver a lost run as a Gap push. */
  gapPushes = false;
  /** Damages the body of this seq on live pushes. */
  damage = 0;
  /** Makes answers of History wrong, as a lying disk would. */
  damageHistory = 0;
  /** Milliseconds that sends take. */
  delay = 0;
  requests: string[] = [];
  sends: string[] = [];
}

export class FakeSession {
  readonly #cluster: FakeCluster;
  readonly #settings: EdgeSettings;
  readonly #out: (bytes: Uint8Array) => void;
  readonly #hangUp: () => void;
  #user = "";
  #active = new Map<FakeLog, () => void>();
  #watched = new Map<FakeLog, string[]>();

  constructor(cluster: FakeCluster, settings: EdgeSettings, out: (bytes: Uint8Array) => void, hangUp: () => void) {
    this.#cluster = cluster;
    this.#settings = settings;
    this.#out = out;
    this.#hangUp = hangUp;
  }

  receive(bytes: Uint8Array): void {
    const frame = fromBinary(ClientFrameSchema, bytes);
    this.#settings.requests.push(frame.request.case ?? "none");
    const answer = (body: Body) => this.#reply(frame.id, body);
    try {
      this.#handle(frame.request, answer);
    } catch (error) {
      const fault = error instanceof FolkmootError ? error : FolkmootError.of(Code.Internal);
      answer({ case: "error", value: create(ErrorSchema, { ...fault, retryAfterMs: BigInt(fault.retryAfterMs) }) });
    }
  }

  ended(): void {
    for (const stop of this.#active.values()) stop();
    this.#active.clear();
  }

  push(body: Body): void {
    this.#reply(0n, body);
  }

  #reply(id: bigint, body: Body): void {
    this.#out(toBinary(ServerFrameSchema, create(ServerFrameSchema, { id, body })));
  }

  #log(bytes: Uint8Array): FakeLog {
    const log = this.#cluster.find(bytes);
    if (log === undefined) throw FolkmootError.of(Code.NotFound);
    return log;
  }

  #handle(request: ClientFrame["request"], answer: (body: Body) => void): void {
    const settings = this.#settings;
    switch (request.case) {
      case "hello": {
        const user = settings.users.get(request.value.token);
        if (user === undefined) throw FolkmootError.of(Code.TokenSignature);
        this.#user = user;
        const active = settings.answersHello ? request.value.active.map((r) => this.#activate(r)) : [];
        return answer({ case: "welcome", value: create(WelcomeSchema, {
          version: 1, user: userIdBytes(user), node: settings.node, region: settings.region,
          stamp: settings.stamp, heartbeatMs: 30_000, active, maxFrame: 262_144, cluster: settings.cluster,
        }) });
      }
      case "ping":
        return answer({ case: "pong", value: create(PongSchema, { stamp: settings.stamp }) });
      case "activate":
        return answer({ case: "activated", value: this.#activate(request.value.groups[0] as Resume) });
      case "deactivate":
        for (const bytes of request.value.groups) {
          const log = this.#log(bytes);
          this.#active.get(log)?.();
          this.#active.delete(log);
        }
        return answer({ case: "ok", value: create(OkSchema) });
      case "history":
        return answer(this.#history(request.value));
      case "send":
        if (settings.delay > 0) setTimeout(() => this.#send(request.value, answer), settings.delay);
        else this.#send(request.value, answer);
        return;
      case "markRead": {
        const log = this.#log(request.value.group);
        if (Number(request.value.seq) > log.entries.length) throw FolkmootError.of(Code.CursorAhead);
        log.read(this.#user, Number(request.value.seq));
        return answer({ case: "ok", value: create(OkSchema) });
      }
      case "getCursors": {
        const log = this.#log(request.value.group);
        const users = request.value.users.length > 0 ? request.value.users.map(userIdText) : [...log.cursors.keys()];
        return answer({ case: "cursors", value: create(CursorsSchema, {
          group: log.bytes, cursors: users.map((u) => ({ user: userIdBytes(u), cursor: log.cursorValue(u) })),
        }) });
      }
      case "getReceipts": {
        const log = this.#log(request.value.group);
        const cursors = [...log.cursors.values()];
        return answer({ case: "receipts", value: create(ReceiptsSchema, {
          group: log.bytes, members: BigInt(log.members.size),
          readers: request.value.seqs.map((seq) => BigInt(cursors.filter((cursor) => cursor >= Number(seq)).length)),
        }) });
      }
      case "getReaders": {
        const log = this.#log(request.value.group);
        const { seq, unread, page } = request.value;
        // A member a page, so that there are some with nobody.
        const users = [...log.members.keys()];
        const at = page.length === 0 ? 0 : users.indexOf(userIdText(page)) + 1;
        const looked = users.slice(at, at + 1);
        const found = looked.filter((user) => ((log.cursors.get(user) ?? 0) >= Number(seq)) !== unread);
        return answer({ case: "readers", value: create(ReadersSchema, {
          group: log.bytes,
          members: found.map((u) => ({ user: userIdBytes(u), value: log.memberValue(u) })),
          next: at + 1 < users.length ? userIdBytes(looked[0]!) : new Uint8Array(),
        }) });
      }
      case "getMembers": {
        const log = this.#log(request.value.group);
        const { order, prefix, page, limit } = request.value;
        const nick = (user: string) => log.members.get(user)?.nick.toLowerCase() ?? "";
        const users = [...log.members.keys()].filter((user) => nick(user).startsWith(prefix.toLowerCase()));
        if (order === MemberOrder.NICK) users.sort((a, b) => (nick(a) < nick(b) ? -1 : 1));
        const from = page.length === 0 ? 0 : users.indexOf(userIdText(page)) + 1;
        const some = users.slice(from, from + limit);
        const last = some.at(-1);
        const counted = order !== MemberOrder.USER && page.length === 0;
        return answer({ case: "members", value: create(MembersSchema, {
          group: log.bytes,
          members: some.map((u) => ({ user: userIdBytes(u), value: log.memberValue(u) })),
          next: last !== undefined && from + limit < users.length ? userIdBytes(last) : new Uint8Array(),
          counts: counted ? [{ role: Role.MEMBER, members: BigInt(log.members.size) }] : [],
        }) });
      }
      case "watchPresence": {
        const log = this.#log(request.value.group);
        const users = request.value.users.map(userIdText).filter((user) => log.members.has(user));
        this.#watched.set(log, users);
        const value = this.#presences(log, users.filter((user) => log.online.has(user)));
        return answer({ case: "presences", value });
      }
      case "typing":
        this.#log(request.value.group).is(this.#user, true, !request.value.stopped);
        return answer({ case: "ok", value: create(OkSchema) });
      case "getGroup": {
        const log = this.#log(request.value.group);
        return answer({ case: "group", value: create(GroupInfoSchema, {
          group: log.bytes, head: log.head(), home: "eu", value: { seq: log.head().seq, memberCount: log.members.size },
        }) });
      }
      case "getUnread": {
        // A group a page: clients have to go on.
        const logs = this.#cluster.logs;
        const at = logs.findIndex((log) => sameBytes(log.bytes, request.value.page)) + 1;
        const log = logs[at];
        if (log === undefined) throw FolkmootError.of(Code.Invalid);
        const { count } = log.head();
        const unread = count - log.cursorValue(this.#user).count;
        return answer({ case: "unread", value: create(UnreadSchema, {
          groups: unread > 0n ? [{ group: log.bytes, unread }] : [],
          next: at + 1 < logs.length ? log.bytes : new Uint8Array(),
        }) });
      }
      case "goodbye":
        return this.#hangUp();
      default:
        throw FolkmootError.of(Code.UnknownRequest);
    }
  }

  #activate(resume: Resume): Activated {
    const log = this.#log(resume.group);
    const seq = Number(resume.seq);
    const resumed = seq <= log.entries.length && (seq === 0 || sameBytes(log.chain(seq), resume.chain));
    this.#active.get(log)?.();
    const listener = (pushed: Pushed) => this.#live(pushed);
    log.listeners.add(listener);
    this.#active.set(log, () => log.listeners.delete(listener));
    return create(ActivatedSchema, {
      group: log.bytes, head: log.head(), resumed, liveFrom: BigInt(log.entries.length),
      cursor: log.cursorValue(this.#user), visibleFrom: 1n,
    });
  }

  #presences(log: FakeLog, users: string[]) {
    return create(PresencesSchema, {
      group: log.bytes,
      users: users.map((user) => ({ user: userIdBytes(user), online: log.online.has(user), typing: log.typing.has(user) })),
    });
  }

  #live({ log, seq, rows, user }: Pushed): void {
    const settings = this.#settings;
    if (user !== undefined) {
      if (this.#watched.get(log)?.includes(user)) {
        this.push({ case: "presenceChanged", value: this.#presences(log, [user]) });
      }
      return;
    }
    if (rows !== undefined) {
      return this.push({ case: "rowsChanged", value: create(RowsChangedSchema, { group: log.bytes, rows }) });
    }
    if (settings.dropPushes > 0) {
      if (--settings.dropPushes === 0 && settings.gapPushes) {
        this.push({ case: "gap", value: create(GapSchema, { group: log.bytes, head: log.head() }) });
      }
      return;
    }
    const sealed = log.entries[seq - 1];
    if (sealed === undefined) return;
    const damaged = settings.damage === seq ? { ...sealed, body: Uint8Array.of(10, 1, 63) } : sealed;
    for (let copy = 0; copy < settings.copies; copy++) {
      this.push({ case: "deliver", value: create(DeliverSchema, {
        group: log.bytes, covers: { from: BigInt(seq), to: BigInt(seq) }, entries: [damaged],
      }) });
    }
  }

  #history(ask: History): Body {
    const log = this.#log(ask.group);
    const head = log.entries.length;
    let from: number;
    let to: number;
    if (ask.backward || ask.after === 0n) {
      to = Math.min(head, ask.before === 0n ? head : Number(ask.before) - 1);
      from = Math.max(1, log.floor + 1, to - ask.limit + 1);
    } else {
      from = Number(ask.after) + 1;
      to = Math.min(head, from + ask.limit - 1, ask.before === 0n ? head : Number(ask.before) - 1);
    }
    const gone = !ask.backward && from <= log.floor;
    const entries = gone || to < from ? [] : log.entries.slice(from - 1, to);
    if (this.#settings.damageHistory > 0 && entries.length > 0) {
      this.#settings.damageHistory--;
      const last = entries.length - 1;
      entries[last] = { ...(entries[last] as (typeof entries)[number]), salt: new Uint8Array(16) };
    }
    return { case: "log", value: create(LogSliceSchema, {
      group: log.bytes, covers: { from: BigInt(from), to: BigInt(to) },
      chainBefore: log.chain(Math.min(from - 1, head)), entries, head: log.head(), gone,
    }) };
  }

  #send(send: Send, answer: (body: Body) => void): void {
    const settings = this.#settings;
    const log = this.#log(send.group);
    settings.sends.push(clientMsgIdText(send.clientMsgId));
    const refuse = settings.refuseSends.shift();
    if (refuse !== undefined) {
      const fault = FolkmootError.of(refuse, 1);
      return answer({ case: "error", value: create(ErrorSchema, { ...fault, retryAfterMs: 1n }) });
    }
    const key = this.#user + hex(send.clientMsgId);
    let seq = log.byClientMsgId.get(key);
    const duplicate = seq !== undefined;
    const lose = settings.loseAnswers > 0;
    if (lose) {
      settings.loseAnswers--;
      this.ended();
    }
    if (seq === undefined) {
      // Known before the push goes out: a retry may come at any time.
      log.byClientMsgId.set(key, log.entries.length + 1);
      seq = log.append({
        kind: send.kind, sender: this.#user, nick: settings.nicks.get(this.#user) ?? "someone", body: send.body,
        mentions: send.mentions.map(userIdText), clientMsgId: send.clientMsgId,
      });
    }
    if (lose) return this.#hangUp();
    answer({ case: "sent", value: create(SentSchema, { seq: BigInt(seq), duplicate }) });
  }
}
