/**
 * Keeps a timeline whole: resume, pushes, and fetching whatever is missing
 * between them.
 */
import { create } from "@bufbuild/protobuf";
import { fullJitter } from "./backoff.ts";
import type { Entry } from "./entry.ts";
import { Code, FolkmootError, LocalCode, asError, protocolError } from "./errors.ts";
import {
  ActivateSchema, HistorySchema, ResumeSchema, type Activated, type Deliver, type LogSlice, type Resume,
} from "./gen/folkmoot/v1/client_pb.ts";
import type { Head } from "./gen/folkmoot/v1/entry_pb.ts";
import { CHAIN_TRIES, FETCH_TRIES, PAGE } from "./limits.ts";
import type { Session } from "./session.ts";
import { Timeline, type Batch } from "./timeline.ts";

export interface SyncHooks {
  /** Entries came behind the tip. `live`: pushed, not fetched. */
  appended(entries: readonly Entry[]): void;
  /** Entries came before the first. */
  prepended(entries: readonly Entry[]): void;
  /** What was held is void; it is read anew. */
  reset(): void;
  head(head: Head): void;
  error(error: FolkmootError): void;
  random(): number;
}

const batchOf = (slice: LogSlice): Batch => ({
  from: Number(slice.covers?.from ?? 0n),
  to: Number(slice.covers?.to ?? 0n),
  entries: slice.entries,
  chainBefore: slice.chainBefore,
});

export class Sync {
  readonly timeline: Timeline;
  readonly #group: Uint8Array;
  readonly #hooks: SyncHooks;
  #session: Session | undefined;
  #target = 0;
  #visibleFrom = 1;
  #floor = 0;
  #fetching = false;
  #older: Promise<boolean> | undefined;
  #broken = 0;

  constructor(group: Uint8Array, timeline: Timeline, hooks: SyncHooks) {
    this.#group = group;
    this.timeline = timeline;
    this.#hooks = hooks;
  }

  /** The resume point for Hello or Activate. */
  resume(): Resume {
    const point = this.timeline.resume;
    return create(ResumeSchema, {
      group: this.#group,
      seq: BigInt(point?.seq ?? 0),
      chain: point?.chain ?? new Uint8Array(),
    });
  }

  /** Whether the first entry that this client may see is held. */
  get complete(): boolean {
    return this.timeline.started && this.timeline.first <= Math.max(1, this.#visibleFrom, this.#floor + 1);
  }

  /** A session is there; `activated` when its Welcome answered for this group. */
  async attach(session: Session, activated?: Activated): Promise<Activated | undefined> {
    this.#session = session;
    for (let attempt = 0; this.#session === session; attempt++) {
      try {
        activated ??= await session.request(
          { case: "activate", value: create(ActivateSchema, { groups: [this.resume()] }) }, "activated",
        );
        if (activated.error !== undefined) throw FolkmootError.fromWire(activated.error);
        break;
      } catch (thrown) {
        const error = asError(thrown);
        activated = undefined;
        if (error.code === LocalCode.Disconnected) return undefined;
        this.#hooks.error(error);
        if (!error.temporary) return undefined;
        await this.#wait(attempt, error);
      }
    }
    if (this.#session !== session || activated === undefined) return undefined;
    this.activated(activated);
    return activated;
  }

  /** The edge says where it stands with the group; also when it lost its place. */
  activated(activated: Activated): void {
    if (activated.error !== undefined) return this.#hooks.error(FolkmootError.fromWire(activated.error));
    if (!activated.resumed && this.timeline.resume !== undefined) this.#reset();
    this.#visibleFrom = Number(activated.visibleFrom);
    this.#see(activated.head);
    this.#want(Number(activated.liveFrom));
  }

  /** The session is gone. */
  detach(): void {
    this.#session = undefined;
  }

  /** A push of entries. */
  deliver(push: Deliver): void {
    const batch: Batch = {
      from: Number(push.covers?.from ?? 0n), to: Number(push.covers?.to ?? 0n), entries: push.entries,
    };
    if (!this.#append(batch)) this.#want(batch.to);
  }

  /** The server dropped pushes, or tells of a head further on. */
  behind(head: Head | undefined): void {
    this.#see(head);
    this.#want(Number(head?.seq ?? 0n));
  }

  /** Fetches the page before the first entry held. True when there may be more. */
  loadOlder(limit = PAGE): Promise<boolean> {
    return (this.#older ??= this.#loadOlder(limit).finally(() => (this.#older = undefined)));
  }

  async #loadOlder(limit: number): Promise<boolean> {
    const session = this.#session;
    if (session === undefined || !this.timeline.started || this.complete) return false;
    const before = this.timeline.first;
    const slice = await this.#history(session, { before, limit, backward: true });
    if (slice.gone && slice.entries.length === 0) this.#floor = before - 1;
    const batch = batchOf(slice);
    if (batch.to !== before - 1) return !this.complete;
    const entries = this.timeline.prepend(batch);
    if (slice.gone || batch.from > batch.to) this.#floor = this.timeline.first - 1;
    if (entries.length > 0) this.#hooks.prepended(entries);
    return !this.complete;
  }

  #see(head: Head | undefined): void {
    if (head === undefined) return;
    if (head.floor !== undefined) this.#floor = Math.max(this.#floor, Number(head.floor.seq));
    this.#hooks.head(head);
  }

  #want(seq: number): void {
    this.#target = Math.max(this.#target, seq);
    if (!this.#fetching) void this.#catchUp();
  }

  /** False: a gap, or a push whose chain does not follow; fetching tells. */
  #append(batch: Batch): boolean {
    try {
      const outcome = this.timeline.append(batch);
      if (outcome.gap) return false;
      if (outcome.entries.length > 0) this.#hooks.appended(outcome.entries);
      return true;
    } catch {
      return false;
    }
  }

  async #catchUp(): Promise<void> {
    this.#fetching = true;
    let tries = 0;
    try {
      for (;;) {
        const session = this.#session;
        if (session === undefined || tries >= FETCH_TRIES) return;
        if (this.timeline.started && this.timeline.tip >= this.#target) return;
        const before = this.timeline.started ? this.timeline.tip : -1;
        try {
          await this.#page(session);
          this.#broken = 0;
        } catch (thrown) {
          const error = asError(thrown);
          if (error.code === LocalCode.Disconnected || this.#session !== session) {
            if (this.#session === undefined || this.#session === session) return;
            continue; // a new session came meanwhile
          }
          if (error.code === LocalCode.Chain || error.code === Code.Gone) {
            this.#hooks.error(error);
            this.#reset();
            if (++this.#broken >= CHAIN_TRIES) return;
          } else if (!error.temporary) {
            return this.#hooks.error(error);
          }
          await this.#wait(tries++, error);
          continue;
        }
        if (this.timeline.started && this.timeline.tip > before) tries = 0;
        else await this.#wait(tries++);
      }
    } finally {
      this.#fetching = false;
    }
  }

  /** Fetches the first page, which ends at the head, or the page after the tip. */
  async #page(session: Session): Promise<void> {
    if (!this.timeline.started) {
      if (this.#target === 0) {
        this.timeline.start({ from: 1, to: 0, entries: [] });
        return;
      }
      const slice = await this.#history(session, { before: this.#target + 1, limit: PAGE, backward: true });
      if (this.#session !== session) return;
      const batch = batchOf(slice);
      if (batch.from < 1 || batch.to < batch.from) return;
      if (slice.gone) this.#floor = Math.max(this.#floor, batch.from - 1);
      this.#hooks.appended(this.timeline.start(batch));
      return;
    }
    const after = this.timeline.tip;
    // After seq 0 there is no forward page: ask for the one that ends before.
    const slice = await (after === 0
      ? this.#history(session, { before: Math.min(this.#target, PAGE) + 1, limit: PAGE, backward: true })
      : this.#history(session, { after, limit: PAGE }));
    if (this.#session !== session) return;
    if (slice.gone) throw FolkmootError.of(Code.Gone);
    const batch = batchOf(slice);
    if (batch.to < batch.from) return;
    const outcome = this.timeline.append(batch);
    if (outcome.gap) throw protocolError(`a page from ${batch.from} where ${after + 1} was due`);
    if (outcome.entries.length > 0) this.#hooks.appended(outcome.entries);
  }

  async #history(
    session: Session, ask: { after?: number; before?: number; limit: number; backward?: boolean },
  ): Promise<LogSlice> {
    const value = create(HistorySchema, {
      group: this.#group,
      after: BigInt(ask.after ?? 0),
      before: BigInt(ask.before ?? 0),
      limit: ask.limit,
      backward: ask.backward ?? false,
    });
    const slice = await session.request({ case: "history", value }, "log");
    this.#see(slice.head);
    return slice;
  }

  #reset(): void {
    this.timeline.reset();
    this.#hooks.reset();
  }

  #wait(attempt: number, error?: FolkmootError): Promise<void> {
    const ms = Math.max(error?.retryAfterMs ?? 0, fullJitter(attempt, this.#hooks.random));
    return new Promise((resolve) => setTimeout(resolve, ms));
  }
}
