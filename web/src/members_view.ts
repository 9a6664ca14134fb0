/**
 * Who is in a group, by nick: a list that is read page by page as one scrolls,
 * whatever the size of the group. Only the rows on screen are in the document,
 * and only so many pages in memory; what was left behind is asked for again.
 */
import type { Group, Member } from "../../client-sdk/web/src/index.ts";
import { count, eachFrame, hueOf, make, setText, whenDrawn } from "./dom.ts";

/** Height of a row, in pixels; the style has the same. */
const ROW = 28;
/** Members of a page. */
const PAGE = 100;
/** Pages kept in memory. */
const KEPT = 20;
/** Rows made above and below what is on screen. */
const MORE = 8;
/** A search begins so many milliseconds after the last key. */
const PAUSE = 120;
/** Roles by their numbers, those with more rights first. */
const ROLES: readonly (readonly [number, string, string])[] = [
  [4, "owner", "owners"], [3, "admin", "admins"], [2, "member", "members"], [1, "reader", "readers"],
];

interface Page {
  /** What it is asked for with; undefined: it is the first. */
  readonly token: Uint8Array | undefined;
  /** Index of its first member. */
  readonly start: number;
  members: readonly Member[] | undefined;
  length: number;
  loading: boolean;
}

export class MembersView {
  readonly element: HTMLElement;
  readonly #parts;
  // Which rows there are depends on where it is scrolled to.
  readonly #render = eachFrame(() => whenDrawn(() => this.#draw()));
  readonly #onSight: (users: readonly string[]) => void;
  #off: (() => void) | undefined;
  #group: Group | undefined;
  #prefix = "";
  #pages: Page[] = [];
  #done = false;
  /** Answers to what is not asked any more are dropped. */
  #asked = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #error = "";

  /** `onSight` is told whose rows are made. */
  constructor(label: string, onSight: (users: readonly string[]) => void) {
    this.#onSight = onSight;
    const input = make("input", { type: "search", autocomplete: "off", placeholder: "Find by name", "aria-label": `Find a member at ${label}` });
    const counts = make("p", { class: "counts quiet", role: "status" });
    const close = make("button", { class: "close", type: "button", "aria-label": "Close the list of members" }, "✕");
    const list = make("ul", { class: "names", "aria-label": `Members at ${label}` });
    const space = make("div", { class: "space" }, list);
    const scroller = make("div", { class: "names-scroller", tabindex: "0", role: "region", "aria-label": `List of members at ${label}` }, space);
    this.element = make("div", { class: "members-view", hidden: "" }, make("header", {}, input, close), counts, scroller);
    this.#parts = { input, counts, list, space, scroller };
    input.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#search(input.value.trim()), PAUSE);
    });
    scroller.addEventListener("scroll", this.#render, { passive: true });
    close.addEventListener("click", () => this.close());
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
  }

  get open(): boolean {
    return !this.element.hidden;
  }

  show(group: Group): void {
    this.#group = group;
    this.#off = group.on("presence", this.#render);
    this.element.hidden = false;
    this.#parts.input.value = "";
    this.#search("");
    this.#parts.input.focus();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#asked++;
    this.#off?.();
    this.#onSight([]);
    this.#group = undefined;
    this.#pages = [];
    this.#parts.list.replaceChildren();
    this.element.hidden = true;
  }

  #search(prefix: string): void {
    this.#asked++;
    this.#prefix = prefix;
    this.#done = false;
    this.#error = "";
    this.#pages = [{ token: undefined, start: 0, members: undefined, length: 0, loading: false }];
    this.#parts.scroller.scrollTop = 0;
    this.#render();
  }

  async #load(page: Page): Promise<void> {
    const group = this.#group;
    if (page.loading || page.members !== undefined || group === undefined) return;
    page.loading = true;
    const asked = this.#asked;
    try {
      const found = await group.findMembers({
        prefix: this.#prefix, limit: PAGE, ...(page.token === undefined ? {} : { page: page.token }),
      });
      if (asked !== this.#asked) return;
      this.#took(page, found.members, found.next);
      if (page.token === undefined) this.#count(found.counts);
      this.#error = "";
    } catch (error) {
      if (asked === this.#asked) this.#error = (error as Error).message;
    } finally {
      page.loading = false;
      if (asked === this.#asked) this.#render();
    }
  }

  #took(page: Page, members: readonly Member[], next: Uint8Array | undefined): void {
    page.members = members;
    if (page !== this.#pages.at(-1)) {
      // Read again: who came or went meanwhile must not move what is below.
      page.members = members.slice(0, page.length);
      return;
    }
    page.length = members.length;
    this.#done = next === undefined;
    if (next !== undefined) {
      this.#pages.push({ token: next, start: page.start + page.length, members: undefined, length: 0, loading: false });
    }
  }

  #count(counts: ReadonlyMap<number, number>): void {
    const some = ROLES.filter(([role]) => (counts.get(role) ?? 0) > 0);
    const text = some.map(([role, one, many]) => {
      const members = counts.get(role) ?? 0;
      return `${count(members)} ${members === 1 ? one : many}`;
    });
    setText(this.#parts.counts, text.join(" · "));
  }

  /** The page that has this row. */
  #pageAt(row: number): number {
    let [low, high] = [0, this.#pages.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#pages[middle]!.start <= row) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #draw(): void {
    if (!this.open) return;
    const { scroller, list, space } = this.#parts;
    const last = this.#pages.at(-1)!;
    const known = last.start + last.length;
    const first = Math.max(0, Math.floor(scroller.scrollTop / ROW) - MORE);
    const end = Math.min(known, Math.ceil((scroller.scrollTop + scroller.clientHeight) / ROW) + MORE);
    // One row more: it says what there is below.
    space.style.height = `${(known + 1) * ROW}px`;
    list.style.transform = `translateY(${first * ROW}px)`;
    const rows: HTMLElement[] = [];
    const users: string[] = [];
    const from = this.#pageAt(first);
    let to = from;
    for (let at = from; at < this.#pages.length && this.#pages[at]!.start < end; at++) {
      const page = this.#pages[at]!;
      to = at;
      const part = { first: Math.max(0, first - page.start), end: Math.min(page.length, end - page.start) };
      for (const member of page.members?.slice(part.first, part.end) ?? []) users.push(member.user);
      for (let row = part.first; row < part.end; row++) rows.push(this.#row(page.members?.[row]));
    }
    if (end === known) rows.push(make("li", { class: "quiet" }, this.#below(known)));
    list.replaceChildren(...rows);
    this.#onSight(users);
    this.#keep(from, to);
  }

  #below(known: number): string {
    if (this.#error !== "") return this.#error;
    if (!this.#done) return "Reading…";
    if (known > 0) return "That is all";
    return this.#prefix === "" ? "Nobody is here" : "Nobody is called so";
  }

  #row(member: Member | undefined): HTMLElement {
    if (member === undefined) return make("li", { class: "quiet" }, "…");
    const name = make("span", { class: "nick" }, member.nick || "someone");
    name.style.setProperty("--hue", String(hueOf(member.nick)));
    const online = this.#group?.presence.people.has(member.user) ?? false;
    const dot = make("span", { class: "dot", title: online ? "here" : "not here", "data-online": String(online) });
    const role = ROLES.find(([number]) => number === member.role);
    return make("li", {}, dot, name, member.role === 2 ? undefined : make("span", { class: "role quiet" }, role?.[1] ?? ""));
  }

  /** Asks for what is missing around these pages, and forgets what is far away. */
  #keep(from: number, to: number): void {
    for (let at = Math.max(0, from - 1); at <= Math.min(this.#pages.length - 1, to + 1); at++) void this.#load(this.#pages[at]!);
    for (const [at, page] of this.#pages.entries()) {
      const far = at < from - KEPT / 2 || at > to + KEPT / 2;
      if (far && page !== this.#pages.at(-1)) page.members = undefined;
    }
  }
}
