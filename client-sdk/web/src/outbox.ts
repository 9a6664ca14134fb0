/**
 * What a user sends in one group, in order: a message goes out when the one
 * before it is settled, and is tried with the same client_msg_id until it is
 * committed or refused. One that was accepted is durable in the edge's region
 * and holds nothing up; it is sent again in the next session, and when nothing
 * was heard of it for long.
 */
import { fullJitter } from "./backoff.ts";
import { Code, FolkmootError, LocalCode, asError, closedError } from "./errors.ts";
import type { Sent } from "./gen/folkmoot/v1/client_pb.ts";
import { clientMsgIdText } from "./ids.ts";
import { ACCEPTED_ASK_MS, OUTBOX_MAX } from "./limits.ts";

export type SendState = "sending" | "accepted" | "committed" | "failed";

/** A message on its way. */
export interface Outgoing {
  /** Unique in this outbox. */
  readonly key: number;
  readonly text: string;
  readonly action: boolean;
  /** User ids. */
  readonly mentions: readonly string[];
  readonly state: SendState;
  /** Given at the first attempt; the same at every other. */
  readonly clientMsgId: Uint8Array | undefined;
  /** When committed. */
  readonly seq: number | undefined;
  /** When failed. */
  readonly error: FolkmootError | undefined;
  /** Settles with the seq, or with the error that refused the message. */
  readonly done: Promise<number>;
}

type Item = { -readonly [K in keyof Outgoing]: Outgoing[K] } & {
  resolve: (seq: number) => void;
  reject: (error: FolkmootError) => void;
};

export interface OutboxHooks {
  /** A new client message id; undefined while no edge has issued a stamp. */
  newId(): Uint8Array | undefined;
  /** One attempt. Rejects with a FolkmootError. */
  transmit(item: Outgoing): Promise<Sent>;
  /** A state changed. */
  changed(): void;
  random(): number;
}

// Trying again at once would not help: the sender must know.
const REFUSED = new Set<number>([Code.Muted]);

export class Outbox {
  readonly #hooks: OutboxHooks;
  #items: Item[] = [];
  #next = 1;
  #running = false;
  #closed = false;
  #ask: ReturnType<typeof setTimeout> | undefined;

  constructor(hooks: OutboxHooks) {
    this.#hooks = hooks;
  }

  /** Everything not yet seen in the timeline, oldest first. */
  get items(): readonly Outgoing[] {
    return this.#items;
  }

  /** Queues a message. Throws `queue_full` when too many wait. */
  add(text: string, action: boolean, mentions: readonly string[]): Outgoing {
    if (this.#closed) throw closedError();
    if (this.#items.length >= OUTBOX_MAX) {
      throw new FolkmootError(LocalCode.QueueFull, "queue_full", `${OUTBOX_MAX} messages wait already`, true);
    }
    let resolve!: Item["resolve"];
    let reject!: Item["reject"];
    const done = new Promise<number>((yes, no) => ([resolve, reject] = [yes, no]));
    done.catch(() => {}); // who does not ask is told by the state
    const item: Item = {
      key: this.#next++, text, action, mentions, state: "sending",
      clientMsgId: undefined, seq: undefined, error: undefined, done, resolve, reject,
    };
    this.#items.push(item);
    this.#hooks.changed();
    this.kick();
    return item;
  }

  /** Tries a failed message again, with a new id only where the old one is spent. */
  retry(outgoing: Outgoing): void {
    const item = this.#items.find((i) => i.key === outgoing.key);
    if (item === undefined || item.state !== "failed") return;
    const code = item.error?.code;
    if (code === Code.Expired || code === Code.Conflict) item.clientMsgId = undefined;
    item.state = "sending";
    item.error = undefined;
    this.#hooks.changed();
    this.kick();
  }

  /** Forgets a failed message. */
  discard(outgoing: Outgoing): void {
    this.#items = this.#items.filter((i) => i.key !== outgoing.key || i.state !== "failed");
    this.#hooks.changed();
  }

  /** A new session: what was accepted in another is asked for, before anything new. */
  again(): void {
    clearTimeout(this.#ask);
    this.#ask = undefined;
    for (const item of this.#items) if (item.state === "accepted") item.state = "sending";
    this.kick();
  }

  /** What became of an accepted message. */
  settled(clientMsgId: Uint8Array, result: number | FolkmootError): void {
    const id = clientMsgIdText(clientMsgId);
    const item = this.#items.find((i) => i.clientMsgId !== undefined && clientMsgIdText(i.clientMsgId) === id);
    if (item?.state !== "accepted") return; // being asked for: the answer tells
    if (typeof result === "number") this.#commit(item, result);
    else this.#fail(item, result);
    this.#hooks.changed();
  }

  /** Goes on; called when a session is there. */
  kick(): void {
    if (!this.#running && !this.#closed) void this.#run();
  }

  /** An own entry appeared in the timeline: it stands there now. */
  seen(clientMsgId: Uint8Array, seq: number): void {
    const id = clientMsgIdText(clientMsgId);
    const at = this.#items.findIndex((i) => i.clientMsgId !== undefined && clientMsgIdText(i.clientMsgId) === id);
    const item = this.#items[at];
    if (item === undefined) return;
    this.#commit(item, seq);
    this.#items.splice(at, 1);
    this.#hooks.changed();
  }

  /** The timeline covers up to `tip`: what was committed up to there stands in it. */
  covered(tip: number): void {
    const left = this.#items.filter((i) => i.state !== "committed" || (i.seq ?? 0) > tip);
    if (left.length === this.#items.length) return;
    this.#items = left;
    this.#hooks.changed();
  }

  /** Fails what is left. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#ask);
    for (const item of this.#items) {
      if (item.state === "sending" || item.state === "accepted") this.#fail(item, closedError());
    }
  }

  #accept(item: Item): void {
    item.state = "accepted";
    this.#ask ??= setTimeout(() => this.again(), ACCEPTED_ASK_MS);
  }

  #commit(item: Item, seq: number): void {
    item.state = "committed";
    item.error = undefined;
    item.seq = seq;
    item.resolve(seq);
  }

  #fail(item: Item, error: FolkmootError): void {
    item.state = "failed";
    item.error = error;
    item.reject(error);
  }

  async #run(): Promise<void> {
    this.#running = true;
    let attempt = 0;
    try {
      for (;;) {
        const item = this.#items.find((i) => i.state === "sending");
        if (item === undefined || this.#closed) return;
        item.clientMsgId ??= this.#hooks.newId();
        if (item.clientMsgId === undefined) return; // no session yet; it kicks
        try {
          const sent = await this.#hooks.transmit(item);
          if (item.state === "sending") {
            if (sent.accepted) this.#accept(item);
            else this.#commit(item, Number(sent.seq));
          }
          attempt = 0;
          this.#hooks.changed();
        } catch (thrown) {
          if (item.state !== "sending") continue; // seen in the timeline meanwhile
          const error = asError(thrown);
          if (error.code === LocalCode.Disconnected) return; // the next session kicks
          if (error.temporary && !REFUSED.has(error.code)) {
            const wait = Math.max(error.retryAfterMs, fullJitter(attempt++, this.#hooks.random));
            await new Promise((resolve) => setTimeout(resolve, wait));
          } else {
            attempt = 0;
            this.#fail(item, error);
            this.#hooks.changed();
          }
        }
      }
    } finally {
      this.#running = false;
    }
  }
}
