/**
 * The list of a pane: a bounded window of rows over the group's timeline that
 * follows the end, and loads older history when one scrolls up.
 */
import type { Entry, Group } from "../../client-sdk/web/src/index.ts";
import { count, eachFrame, hueOf, make, setText, whenDrawn } from "./dom.ts";
import { makeRow } from "./row.ts";

/** Rows shown while following the end. */
const TAIL = 150;
/** Rows added in one frame: what they cost to lay out and paint is what a frame has time for. */
const STEP = 32;
/** Most rows at any time. */
const MOST = 480;
/** How near to an edge, in pixels, more is loaded. */
const NEAR = 240;
/** Marks of readers in one row. */
const MARKS = 5;

export interface Reader {
  user: string;
  name: string;
  /** Index of the region's colour; undefined: coloured by the name. */
  region?: number;
}

export class LogView {
  readonly #scroller: HTMLElement;
  readonly #list: HTMLOListElement;
  readonly #jump: HTMLButtonElement;
  readonly #top: HTMLElement;
  readonly #group: Group;
  readonly #readers: readonly Reader[];
  readonly #rows = new Map<number, HTMLLIElement>();
  readonly #render: () => void;
  readonly #off: (() => void)[] = [];
  #first = 0; // seq of the first row; 0: none
  #last = 0;
  #following = true;
  #lastTop = 0;
  #loading = false;
  #marked: HTMLElement[] = [];
  /** Called when the end is on screen. */
  onEnd: (() => void) | undefined;

  constructor(scroller: HTMLElement, list: HTMLOListElement, jump: HTMLButtonElement, top: HTMLElement, group: Group, readers: readonly Reader[]) {
    this.#scroller = scroller;
    this.#list = list;
    this.#jump = jump;
    this.#top = top;
    this.#group = group;
    this.#readers = readers;
    this.#render = eachFrame(() => this.#draw());
    list.replaceChildren();
    const scroll = () => this.#scrolled();
    const follow = () => this.follow();
    scroller.addEventListener("scroll", scroll, { passive: true });
    jump.addEventListener("click", follow);
    // Whatever grows or shrinks, what follows keeps its end in sight.
    const size = new ResizeObserver(() => this.#following && this.#toEnd());
    for (const part of [scroller, ...scroller.children]) size.observe(part);
    this.#off.push(
      group.on("entries", this.#render),
      group.on("older", this.#render),
      group.on("cursors", this.#render),
      group.on("members", this.#render),
      group.on("outbox", this.#render),
      group.on("reset", () => this.#clear()),
      () => scroller.removeEventListener("scroll", scroll),
      () => jump.removeEventListener("click", follow),
      () => size.disconnect(),
    );
    this.#render();
  }

  /** Whether the end is followed. */
  get following(): boolean {
    return this.#following;
  }

  /** The rows of messages that are on screen, from the top. */
  spoken(): HTMLLIElement[] {
    const { top, bottom } = this.#scroller.getBoundingClientRect();
    const rows: HTMLLIElement[] = [];
    for (const row of this.#list.children) {
      const box = row.getBoundingClientRect();
      if (box.top >= bottom) break;
      if (box.bottom > top && row.classList.contains("spoken")) rows.push(row as HTMLLIElement);
    }
    return rows;
  }

  /** Goes to the end and stays there. */
  follow(): void {
    this.#following = true;
    this.#clear();
    this.#draw();
  }

  close(): void {
    this.#following = false;
    for (const off of this.#off) off();
  }

  #clear(): void {
    this.#lastTop = 0;
    this.#rows.clear();
    this.#list.replaceChildren();
    this.#first = this.#last = 0;
    this.#render();
  }

  #index(seq: number): number {
    const entries = this.#group.entries;
    let [low, high] = [0, entries.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((entries[middle]?.seq ?? 0) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #draw(): void {
    const entries = this.#group.entries;
    if (this.#following) {
      const fresh = entries.slice(Math.max(this.#index(this.#last + 1), entries.length - STEP));
      if (fresh.length > 0 && this.#first !== 0 && this.#index(fresh[0]!.seq) !== this.#index(this.#last + 1)) {
        this.#rows.clear(); // so much came that the old rows are far; those between follow
        this.#list.replaceChildren();
        this.#first = 0;
      }
      this.#add(fresh, false);
      this.#trim(TAIL, true);
      whenDrawn(() => this.#settle());
    }
    const behind = this.#following ? 0 : entries.length - this.#index(this.#last + 1);
    this.#jump.hidden = this.#following;
    setText(this.#jump, behind > 0 ? `${count(behind)} new ↓` : "To the end ↓");
    this.#top.hidden = this.#first === 0;
    const begins = this.#group.complete && this.#first === entries[0]?.seq;
    setText(this.#top, begins ? "The group's log begins here" : this.#loading ? "Loading older entries…" : "Scroll up for older entries");
    this.#marks();
  }

  #settle(): void {
    if (!this.#following) return;
    this.#toEnd();
    if (this.#last !== 0) this.onEnd?.();
    if (this.#scroller.scrollHeight <= this.#scroller.clientHeight + NEAR) void this.#older();
  }

  #toEnd(): void {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#lastTop = this.#scroller.scrollTop;
  }

  #add(entries: readonly Entry[], front: boolean): void {
    if (entries.length === 0) return;
    const rows = entries.map((entry) => {
      const row = makeRow(entry, this.#group, this.#group.me);
      this.#rows.set(entry.seq, row);
      return row;
    });
    if (front) this.#list.prepend(...rows);
    else this.#list.append(...rows);
    if (front || this.#first === 0) this.#first = entries[0]!.seq;
    if (!front) this.#last = entries.at(-1)!.seq;
  }

  #trim(most: number, front: boolean): void {
    while (this.#list.childElementCount > most) {
      const row = (front ? this.#list.firstElementChild : this.#list.lastElementChild) as HTMLLIElement;
      this.#rows.delete(Number(row.dataset.seq));
      row.remove();
    }
    const seq = (row: Element | null) => Number((row as HTMLElement | null)?.dataset.seq ?? 0);
    this.#first = seq(this.#list.firstElementChild);
    this.#last = seq(this.#list.lastElementChild);
  }

  #scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const fromEnd = scrollHeight - scrollTop - clientHeight;
    // Only the reader's own way up ends the following: rows that arrive, or a
    // pane that changes its size, also move the end away for a moment.
    const up = scrollTop < this.#lastTop - 4;
    this.#lastTop = scrollTop;
    const atEnd = fromEnd < 24 && this.#last === (this.#group.entries.at(-1)?.seq ?? 0);
    if (this.#following ? up && fromEnd >= 24 : atEnd) {
      this.#following = !this.#following;
      this.#render();
    }
    if (scrollTop < NEAR && this.#first !== 0) void this.#older();
    if (fromEnd < NEAR && !this.#following) this.#newer();
  }

  /** Keeps what is on screen where it is while rows come and go around it. */
  #steady(work: () => void): void {
    const anchor = this.#rows.get(this.#topmost());
    const before = anchor?.getBoundingClientRect().top ?? 0;
    work();
    if (anchor?.isConnected) this.#scroller.scrollTop += anchor.getBoundingClientRect().top - before;
  }

  #topmost(): number {
    const top = this.#scroller.getBoundingClientRect().top;
    for (const row of this.#list.children) {
      if (row.getBoundingClientRect().bottom > top) return Number((row as HTMLElement).dataset.seq);
    }
    return this.#first;
  }

  async #older(): Promise<void> {
    if (this.#loading || this.#first === 0) return;
    if (this.#index(this.#first) === 0 && !this.#group.complete) {
      this.#loading = true;
      this.#render();
      try {
        await this.#group.loadOlder();
      } catch {
        // The pane shows the connection's state; scrolling tries again.
      } finally {
        this.#loading = false;
        this.#render();
      }
    }
    const end = this.#index(this.#first);
    const page = this.#group.entries.slice(Math.max(0, end - STEP), end);
    if (page.length === 0) return;
    if (this.#following) {
      if (this.#list.childElementCount + page.length > TAIL) return;
      this.#add(page, true);
      this.#toEnd();
      this.#render(); // it may not fill the pane yet
      return;
    }
    this.#steady(() => {
      this.#add(page, true);
      this.#trim(MOST, false);
    });
    this.#render();
  }

  #newer(): void {
    const from = this.#index(this.#last + 1);
    const page = this.#group.entries.slice(from, from + STEP);
    if (page.length === 0) return;
    this.#steady(() => {
      this.#add(page, false);
      this.#trim(MOST, true);
    });
    this.#render();
  }

  /** Small marks at the last entry that each reader has read. */
  #marks(): void {
    for (const cell of this.#marked) cell.replaceChildren();
    this.#marked = [];
    const known = new Set(this.#readers.map((reader) => reader.user));
    const others: Reader[] = [];
    for (const user of this.#group.cursors.keys()) {
      if (!known.has(user)) others.push({ user, name: this.#group.members.get(user)?.nick ?? "" });
    }
    const rows = new Map<HTMLLIElement, Reader[]>();
    for (const reader of [...this.#readers, ...others]) {
      const cursor = this.#group.cursors.get(reader.user);
      const entry = cursor && this.#group.entries[this.#index(cursor.seq)];
      // That one has read one's own words says nothing; neither does a nameless mark.
      if (!cursor || !entry || entry.seq !== cursor.seq || reader.name === "") continue;
      if (reader.region === undefined && entry.sender === reader.user) continue;
      const row = this.#rows.get(cursor.seq);
      if (row !== undefined) rows.set(row, [...(rows.get(row) ?? []), reader]);
    }
    for (const [row, readers] of rows) {
      const cell = row.querySelector<HTMLElement>(".readers");
      if (cell === null) continue;
      const names = readers.map((r) => r.name).join(", ");
      for (const reader of readers.slice(0, MARKS)) {
        const mark = make("i", { class: reader.region === undefined ? "mark" : `mark region-${reader.region % 6}`, "aria-hidden": "true" }, reader.name.slice(0, 1));
        mark.style.setProperty("--hue", String(hueOf(reader.name)));
        cell.append(mark);
      }
      if (readers.length > MARKS) cell.append(make("i", { class: "more", "aria-hidden": "true" }, `+${readers.length - MARKS}`));
      cell.append(make("span", { class: "unseen" }, `read by ${names}`));
      cell.title = `Read by ${names}`;
      this.#marked.push(cell);
    }
  }
}
