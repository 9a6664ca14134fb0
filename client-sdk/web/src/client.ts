/** The client: one session at a time, kept alive over failures, and its groups. */
import { create } from "@bufbuild/protobuf";
import { fullJitter } from "./backoff.ts";
import { Emitter } from "./emitter.ts";
import { FolkmootError, LocalCode, asError, closedError, disconnected, protocolError } from "./errors.ts";
import {
  DeactivateSchema, GetUnreadSchema, HelloSchema, ListGroupsSchema, UnreadSchema, type Groups, type Hello,
  type Unread, type Welcome,
} from "./gen/folkmoot/v1/client_pb.ts";
import { Group } from "./group.ts";
import { groupIdBytes, groupIdText, newDevice } from "./ids.ts";
import { BACKOFF_CAP_MS, VERSION_MAX, VERSION_MIN } from "./limits.ts";
import { Session, type Reply, type ReplyCase, type Request, type SocketConstructor } from "./session.ts";

export interface ConnectOptions {
  /** Addresses of edges, such as `wss://chat.example:7443/v1/ws`; tried in turn. */
  urls: readonly string[];
  /** A JWT, or what gets one; asked again at each connection. */
  token: string | (() => string | Promise<string>);
  /** Chosen once by the device, and kept; random when left out. */
  device?: bigint;
  /** The platform's WebSocket unless given. */
  WebSocket?: SocketConstructor;
  /** Name and version of the application, for the server's log. */
  client?: string;
  /** Entries that each timeline holds at most. */
  maxEntries?: number;
  /** Random numbers in [0, 1) for the backoff. */
  random?: () => number;
}

/** `waiting`: between two tries. `refused`: the server will not have this client; it has stopped. */
export type ClientState = "connecting" | "online" | "waiting" | "refused" | "closed";

export type ClientEvents = {
  state: ClientState;
  welcome: Welcome;
  error: FolkmootError;
};

/** A session shorter than this counts as a failure for the backoff. */
const SETTLED_MS = 5_000;
/** New tokens asked for in a row before a refusal stands. */
const TOKEN_TRIES = 5;
/** A list of groups that has more pages than this does not end. */
const UNREAD_PAGES = 500;

export class Folkmoot extends Emitter<ClientEvents> {
  /** This device's id. */
  readonly device: bigint;
  /** The first Welcome; rejects when the server refuses this client. */
  readonly ready: Promise<Welcome>;
  readonly #options: ConnectOptions;
  readonly #random: () => number;
  readonly #groups = new Map<string, Group>();
  #session: Session | undefined;
  #state: ClientState = "connecting";
  #error: FolkmootError | undefined;
  #changedSince: Uint8Array = new Uint8Array();
  #wake: (() => void) | undefined;

  private constructor(options: ConnectOptions) {
    super();
    if (options.urls.length === 0) throw new TypeError("urls: at least one address of an edge");
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.device = options.device ?? newDevice();
    this.ready = new Promise((resolve, reject) => {
      this.on("welcome", resolve);
      this.on("state", (state) => {
        if (state === "refused" || state === "closed") reject(this.#error ?? closedError());
      });
    });
    this.ready.catch(() => {}); // who does not wait for it listens to `state`
  }

  /** Begins to connect, and keeps at it. Groups can be opened and written to at once. */
  static connect(options: ConnectOptions): Folkmoot {
    const client = new Folkmoot(options);
    void client.#run();
    return client;
  }

  get state(): ClientState {
    return this.#state;
  }
  /** The last error of the connection. */
  get error(): FolkmootError | undefined {
    return this.#error;
  }
  /** The edge's Welcome, while online. */
  get welcome(): Welcome | undefined {
    return this.#session?.welcome;
  }

  /** Opens a group: its timeline is kept whole and live until it is closed. */
  group(id: string): Group {
    const bytes = groupIdBytes(id);
    let group = this.#groups.get(id);
    if (group === undefined) {
      group = new Group(bytes, { maxEntries: this.#options.maxEntries, random: this.#random });
      this.#groups.set(id, group);
      if (this.#session !== undefined) void group.attach(this.#session);
    }
    return group;
  }

  /** Closes a group: nothing more is pushed for it. */
  closeGroup(id: string): void {
    const group = this.#groups.get(id);
    if (group === undefined) return;
    this.#groups.delete(id);
    group.shut();
    const value = create(DeactivateSchema, { groups: [groupIdBytes(id)] });
    // When it fails the session ended, and the next does not name the group.
    this.#session?.request({ case: "deactivate", value }, "ok").catch(() => {});
  }

  /** One page of the user's groups. */
  listGroups(page: Uint8Array = new Uint8Array(), limit = 100): Promise<Groups> {
    return this.request({ case: "listGroups", value: create(ListGroupsSchema, { page, limit }) }, "groups");
  }

  /**
   * What there is to read in all the user's groups, counted by the edge: for
   * badges, without fetching any of it. See `badge`.
   */
  async unread(): Promise<Unread> {
    const all = create(UnreadSchema);
    let page: Uint8Array = new Uint8Array();
    for (let pages = 0; pages < UNREAD_PAGES; pages++) {
      const value = create(GetUnreadSchema, { page });
      const answer = await this.request({ case: "getUnread", value }, "unread");
      all.groups.push(...answer.groups);
      all.unknown.push(...answer.unknown);
      if (answer.next.length === 0) return all;
      page = answer.next;
    }
    throw protocolError("the list of groups does not end");
  }

  /** Any request of the schema. Rejects with a FolkmootError. */
  request<K extends ReplyCase>(request: Request, expect: K): Promise<Reply<K>> {
    if (this.#session === undefined) return Promise.reject(disconnected("not connected now"));
    return this.#session.request(request, expect);
  }

  /** Tries again at once when it waits between two tries. */
  reconnectNow(): void {
    this.#wake?.();
  }

  /** Ends everything. */
  close(): void {
    if (this.#state === "closed") return;
    this.#set("closed");
    for (const group of this.#groups.values()) group.shut();
    this.#groups.clear();
    this.#session?.goodbye();
    this.#wake?.();
  }

  async #hello(): Promise<Hello> {
    const { token, client } = this.#options;
    return create(HelloSchema, {
      versionMin: VERSION_MIN,
      versionMax: VERSION_MAX,
      features: ["rows", "bumps", "tentative"],
      token: typeof token === "string" ? token : await token(),
      device: this.device,
      client: client ?? "folkmoot-web/0.1.0",
      changedSince: this.#changedSince,
      active: [...this.#groups.values()].map((g) => g.resumePoint()),
    });
  }

  async #run(): Promise<void> {
    const Socket = this.#options.WebSocket ?? (globalThis as { WebSocket?: unknown }).WebSocket;
    const { urls, token } = this.#options;
    let attempt = 0;
    let refusals = 0;
    for (let turn = 0; this.#state !== "closed"; turn++) {
      this.#set("connecting");
      let error: FolkmootError;
      try {
        if (Socket === undefined) {
          throw new FolkmootError(LocalCode.Closed, "no_websocket", "this platform has no WebSocket: give one", false);
        }
        const url = urls[turn % urls.length] as string;
        const session = await Session.open(Socket as SocketConstructor, url, () => this.#hello(), {
          push: (body) => this.#push(body),
        });
        if (this.#state as ClientState === "closed") return session.goodbye();
        const since = Date.now();
        refusals = 0;
        this.#begin(session);
        error = await session.ended;
        this.#session = undefined;
        for (const group of this.#groups.values()) group.detach();
        if (Date.now() - since >= SETTLED_MS) attempt = 0;
      } catch (thrown) {
        error = asError(thrown);
        const tokenFault = error.code >= 200 && error.code < 300 && typeof token === "function";
        const local = error.code < 100 && error.code !== LocalCode.Closed;
        if (!error.temporary && !local && !(tokenFault && ++refusals < TOKEN_TRIES)) {
          this.#fail(error);
          this.#set("refused");
          return;
        }
      }
      if (this.#state as ClientState === "closed") return;
      this.#fail(error);
      this.#set("waiting");
      // A server that asks for patience gets it, but no longer than a minute.
      const asked = Math.min(error.retryAfterMs, 6 * BACKOFF_CAP_MS);
      await this.#sleep(asked + fullJitter(attempt++, this.#random));
    }
  }

  #begin(session: Session): void {
    const { welcome } = session;
    this.#session = session;
    this.#error = undefined;
    if (welcome.changed !== undefined) this.#changedSince = welcome.changed.changedSince;
    this.#set("online");
    this.emit("welcome", welcome);
    const active = new Map(welcome.active.map((a) => [groupIdText(a.group), a]));
    for (const group of this.#groups.values()) void group.attach(session, active.get(group.id));
  }

  #push(body: { case: string; value: unknown }): void {
    const bytes = (body.value as { group?: Uint8Array }).group;
    if (bytes === undefined) return;
    for (const group of this.#groups.values()) {
      if (group.matches(bytes)) return group.push(body);
    }
  }

  #fail(error: FolkmootError): void {
    this.#error = error;
    this.emit("error", error);
  }

  #set(state: ClientState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.emit("state", state);
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
