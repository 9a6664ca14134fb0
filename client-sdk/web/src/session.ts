/** One connection: Hello and Welcome, request ids, deadlines, heartbeats. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, FolkmootError, asError, deadlineError, disconnected, protocolError } from "./errors.ts";
import {
  ClientFrameSchema, ServerFrameSchema, type ClientFrame, type Hello, type ServerFrame, type Welcome,
} from "./gen/folkmoot/v1/client_pb.ts";
import {
  CONNECT_DEADLINE_MS, FRAME_MAX, HEARTBEAT_MS, OPEN_REQUESTS, PONG_DEADLINE_MS, REQUEST_DEADLINE_MS,
} from "./limits.ts";

/** What this client uses of a WebSocket. */
export interface Socket {
  binaryType: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: Uint8Array): void;
  close(code?: number, reason?: string): void;
}
/** A constructor of WebSockets, such as the browser's. */
export type SocketConstructor = new (url: string) => Socket;

/** One request of the schema. */
export type Request = Exclude<ClientFrame["request"], { case: undefined }>;
type Body = Exclude<ServerFrame["body"], { case: undefined }>;
/** The name of a reply in the schema. */
export type ReplyCase = Body["case"];
/** The reply of that name. */
export type Reply<K extends ReplyCase> = Extract<Body, { case: K }>["value"];

interface Open {
  readonly expect: ReplyCase;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: FolkmootError) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** What a close frame means: 4000 and a code of the registry, with `<code> <reason>`. */
export function closeError(close: number, text: string): FolkmootError {
  if (close < 4000 || close > 4999) return disconnected(text || `close code ${close}`);
  const [, number, reason = ""] = /^(\d+) ?(.*)$/s.exec(text) ?? [];
  const known = FolkmootError.of(number === undefined ? close - 4000 : Number(number));
  return new FolkmootError(known.code, known.name, reason || known.message, known.temporary);
}

export interface SessionHooks {
  /** A push arrived. */
  push(body: Body): void;
}

export class Session {
  /** Settles when the connection has ended, with why. */
  readonly ended: Promise<FolkmootError>;
  readonly #socket: Socket;
  readonly #hooks: SessionHooks;
  readonly #open = new Map<bigint, Open>();
  #nextId = 1n;
  #dead: FolkmootError | undefined;
  #finish!: (why: FolkmootError) => void;
  #welcome: Welcome | undefined;
  #stamp = 0n;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #closing: FolkmootError | undefined;

  private constructor(socket: Socket, hooks: SessionHooks) {
    this.#socket = socket;
    this.#hooks = hooks;
    this.ended = new Promise((resolve) => (this.#finish = resolve));
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#end(this.#closing ?? closeError(event.code, event.reason));
    socket.onerror = () => {}; // a close event follows and says as much as a browser tells
  }

  /** Connects and says Hello. Rejects with a FolkmootError. */
  static async open(
    WebSocket: SocketConstructor, url: string, hello: () => Promise<Hello>, hooks: SessionHooks,
  ): Promise<Session> {
    let session: Session;
    try {
      session = new Session(new WebSocket(url), hooks);
    } catch (error) {
      throw disconnected(asError(error).message); // a URL that cannot be opened
    }
    const late = setTimeout(() => session.end(deadlineError()), CONNECT_DEADLINE_MS);
    try {
      await new Promise<void>((resolve, reject) => {
        session.#socket.onopen = () => resolve();
        void session.ended.then(reject);
      });
      const value = await hello();
      const welcome = await session.request({ case: "hello", value }, "welcome");
      session.#welcome = welcome;
      session.#stamp = welcome.stamp;
      session.#beat(welcome.heartbeatMs || HEARTBEAT_MS);
      return session;
    } catch (error) {
      session.end(asError(error));
      throw asError(error);
    } finally {
      clearTimeout(late);
    }
  }

  /** What the edge said of itself. */
  get welcome(): Welcome {
    if (this.#welcome === undefined) throw new TypeError("the session has no Welcome yet");
    return this.#welcome;
  }
  /** The edge's last stamp, for new client message ids. */
  get stamp(): bigint {
    return this.#stamp;
  }
  /** Whether requests can still be made. */
  get alive(): boolean {
    return this.#dead === undefined;
  }

  /** Sends a request and waits for its reply. Rejects with a FolkmootError. */
  request<K extends ReplyCase>(
    request: Request, expect: K, deadlineMs: number = REQUEST_DEADLINE_MS,
  ): Promise<Reply<K>> {
    return new Promise<Reply<K>>((resolve, reject) => {
      if (this.#dead !== undefined) return reject(this.#dead);
      if (this.#open.size >= OPEN_REQUESTS) return reject(FolkmootError.of(Code.TooManyRequests));
      const id = this.#nextId++;
      const bytes = toBinary(ClientFrameSchema, create(ClientFrameSchema, { id, request }));
      if (bytes.length > (this.#welcome?.maxFrame || FRAME_MAX)) {
        return reject(FolkmootError.of(Code.FrameTooLarge));
      }
      const timer = setTimeout(() => {
        this.#open.delete(id);
        reject(deadlineError());
      }, deadlineMs);
      this.#open.set(id, { expect, resolve: resolve as (value: unknown) => void, reject, timer });
      this.#send(bytes);
    });
  }

  /** Says goodbye and ends the connection. */
  goodbye(): void {
    if (this.#dead === undefined) {
      const request: Request = { case: "goodbye", value: { $typeName: "folkmoot.v1.Goodbye" } };
      this.#send(toBinary(ClientFrameSchema, create(ClientFrameSchema, { id: this.#nextId++, request })));
    }
    this.end(disconnected("goodbye"));
  }

  /** Ends the connection; open requests fail with `why`. */
  end(why: FolkmootError): void {
    this.#end(why);
    try {
      this.#socket.close(1000);
    } catch {
      // closed already
    }
  }

  #send(bytes: Uint8Array): void {
    try {
      this.#socket.send(bytes);
    } catch (error) {
      this.end(disconnected(asError(error).message));
    }
  }

  #end(why: FolkmootError): void {
    if (this.#dead !== undefined) return;
    this.#dead = why;
    clearInterval(this.#heartbeat);
    for (const open of this.#open.values()) {
      clearTimeout(open.timer);
      open.reject(why);
    }
    this.#open.clear();
    this.#finish(why);
  }

  #beat(every: number): void {
    this.#heartbeat = setInterval(() => {
      this.request({ case: "ping", value: { $typeName: "folkmoot.v1.Ping" } }, "pong", PONG_DEADLINE_MS).then(
        (pong) => {
          if (pong.stamp > this.#stamp) this.#stamp = pong.stamp;
        },
        (error) => this.end(disconnected(asError(error).message)),
      );
    }, every);
  }

  #receive(data: unknown): void {
    if (this.#dead !== undefined) return;
    let frame: ServerFrame;
    try {
      if (!(data instanceof ArrayBuffer)) throw new TypeError("a message that is not binary");
      frame = fromBinary(ServerFrameSchema, new Uint8Array(data));
    } catch (error) {
      return this.end(protocolError(asError(error).message));
    }
    const body = frame.body;
    if (frame.id === 0n) return this.#push(body);
    const open = this.#open.get(frame.id);
    if (open === undefined) return; // its deadline passed
    this.#open.delete(frame.id);
    clearTimeout(open.timer);
    if (body.case === "error") open.reject(FolkmootError.fromWire(body.value));
    else if (body.case === open.expect) open.resolve(body.value);
    else open.reject(protocolError(`${body.case ?? "nothing"} where ${open.expect} was due`));
  }

  #push(body: ServerFrame["body"]): void {
    switch (body.case) {
      case undefined:
        return; // of a newer version
      case "closing":
        this.#closing = new FolkmootError(
          body.value.code, FolkmootError.of(body.value.code).name, body.value.reason || "the edge is closing",
          FolkmootError.of(body.value.code).temporary, Number(body.value.retryAfterMs),
        );
        return;
      case "error":
        return this.end(FolkmootError.fromWire(body.value));
      default:
        this.#hooks.push(body);
    }
  }
}
