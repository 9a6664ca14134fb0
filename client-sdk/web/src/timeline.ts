/**
 * The gapless timeline of one group: a window [first, tip] of its log in which
 * every entry follows from the one before by the chain. No I/O.
 */
import { follows, readEntry, type Entry } from "./entry.ts";
import { FolkmootError, LocalCode } from "./errors.ts";
import type { SealedEntry } from "./gen/folkmoot/v1/entry_pb.ts";
import { sameBytes } from "./ids.ts";
import { TIMELINE_ENTRIES } from "./limits.ts";

/** Entries of a push or a page, and the seqs that it speaks for. */
export interface Batch {
  readonly from: number;
  readonly to: number;
  readonly entries: readonly SealedEntry[];
  /** Chain before `from`, when the server told it. */
  readonly chainBefore?: Uint8Array | undefined;
}

/** A seq and its chain. */
export interface Point {
  readonly seq: number;
  readonly chain: Uint8Array;
}

/** What became of a batch. */
export type Outcome =
  | { readonly gap: false; readonly entries: readonly Entry[] }
  /** Nothing was taken: what lies between the tip and the batch must be fetched first. */
  | { readonly gap: true };

const broken = (what: string): FolkmootError =>
  new FolkmootError(LocalCode.Chain, "chain", `${what}: the log does not verify`, false);

/** Reads a batch, checks order and chain from `previous` on. */
function verify(batch: Batch, covered: number, chain: Uint8Array | undefined): Entry[] {
  const entries: Entry[] = [];
  let last = covered;
  let known = chain;
  for (const sealed of batch.entries) {
    const entry = readEntry(sealed);
    if (entry.seq < batch.from || entry.seq > batch.to) {
      throw broken(`entry ${entry.seq} outside of [${batch.from}, ${batch.to}]`);
    }
    if (entry.seq <= covered) continue; // held already
    if (entry.seq <= last) throw broken(`entry ${entry.seq} after ${last}`);
    // What the server left out on purpose cannot be chained over; the link
    // after it is taken as it stands.
    if (entry.seq === last + 1 && known !== undefined && !follows(sealed, known)) {
      throw broken(`entry ${entry.seq}`);
    }
    entries.push(entry);
    last = entry.seq;
    known = sealed.chain;
  }
  return entries;
}

const chainOf = (bytes: Uint8Array | undefined): Uint8Array | undefined =>
  bytes !== undefined && bytes.length > 0 ? bytes : undefined;

export class Timeline {
  #entries: Entry[] = [];
  #started = false;
  #base = 0; // seq before the first one covered
  #baseChain: Uint8Array | undefined;
  #tip = 0; // last seq covered
  #tipChain: Uint8Array | undefined; // undefined: the entry at the tip was left out
  #resume: Point | undefined;
  readonly #max: number;

  constructor(max: number = TIMELINE_ENTRIES) {
    this.#max = max;
  }

  /** The entries held, oldest first. A new array after every change at the front. */
  get entries(): readonly Entry[] {
    return this.#entries;
  }
  /** Whether a first page was taken. */
  get started(): boolean {
    return this.#started;
  }
  /** The first seq that the window covers. */
  get first(): number {
    return this.#base + 1;
  }
  /** The last seq that the window covers; 0: none. */
  get tip(): number {
    return this.#tip;
  }
  /** The last entry's seq and chain: where to resume. */
  get resume(): Point | undefined {
    return this.#resume;
  }

  /** Takes the first page: the window is now what it covers. */
  start(batch: Batch): readonly Entry[] {
    this.reset();
    const chain = chainOf(batch.chainBefore);
    const entries = verify(batch, batch.from - 1, chain);
    this.#started = true;
    this.#base = batch.from - 1;
    this.#baseChain = chain;
    this.#tip = this.#base;
    this.#tipChain = chain;
    this.#push(entries, batch.to);
    return entries;
  }

  /** Takes what follows the tip; entries held already are passed over. Throws when the chain breaks. */
  append(batch: Batch): Outcome {
    if (!this.#started || batch.from > this.#tip + 1) return { gap: true };
    if (batch.to <= this.#tip) return { gap: false, entries: [] };
    const before = chainOf(batch.chainBefore);
    if (before !== undefined && batch.from === this.#tip + 1 && this.#tipChain !== undefined) {
      if (!sameBytes(before, this.#tipChain)) throw broken(`the page after ${this.#tip}`);
    }
    const entries = verify(batch, this.#tip, this.#tipChain ?? before);
    this.#push(entries, batch.to);
    return { gap: false, entries };
  }

  /** Takes the page that ends right before the window. Throws when the chain breaks. */
  prepend(batch: Batch): readonly Entry[] {
    if (!this.#started || batch.to !== this.#base || batch.from > batch.to) return [];
    const chain = chainOf(batch.chainBefore);
    const entries = verify(batch, batch.from - 1, chain);
    const last = entries.at(-1);
    if (last?.seq === this.#base && this.#baseChain !== undefined && !sameBytes(last.chain, this.#baseChain)) {
      throw broken(`the page before ${this.first}`);
    }
    this.#entries = [...entries, ...this.#entries];
    this.#base = batch.from - 1;
    this.#baseChain = chain;
    return entries;
  }

  /** Drops everything. */
  reset(): void {
    this.#entries = [];
    this.#started = false;
    this.#base = this.#tip = 0;
    this.#baseChain = this.#tipChain = this.#resume = undefined;
  }

  #push(entries: readonly Entry[], to: number): void {
    for (const entry of entries) this.#entries.push(entry);
    const last = entries.at(-1);
    if (last !== undefined) this.#resume = { seq: last.seq, chain: last.chain };
    this.#tipChain = last?.seq === to ? last.chain : to === this.#tip ? this.#tipChain : undefined;
    this.#tip = to;
    // A quarter at once, so that a full window is not moved at each entry.
    if (this.#entries.length > this.#max) {
      const cut = this.#entries.length - Math.floor((this.#max * 3) / 4);
      const edge = this.#entries[cut - 1] as Entry;
      this.#entries = this.#entries.slice(cut);
      this.#base = edge.seq;
      this.#baseChain = edge.chain;
    }
  }
}
