/** Who of a pane's group is there, and who is writing. */
import type { Group } from "../../client-sdk/web/src/index.ts";
import { eachFrame, make, setText } from "./dom.ts";

/** That the own user is writing is said this often while it goes on. */
const AGAIN = 4_000;
/** In groups of up to so many members all are watched; in larger ones those on screen. */
const SMALL = 200;
/** Rows that stay on screen for so long are watched: not each that is scrolled past. */
const PAUSE = 250;
/** Who is writing is named up to this many. */
const NAMED = 2;

export class PeopleView {
  readonly element = make("p", { class: "typing quiet", role: "status" });
  readonly #draw = eachFrame(() => setText(this.element, this.#writing()));
  #group: Group | undefined;
  #seen: readonly string[] = [];
  #off: (() => void)[] = [];
  #said = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(input: HTMLInputElement) {
    input.addEventListener("input", () => this.#types(input.value));
  }

  show(group: Group): void {
    this.close();
    this.#group = group;
    this.#off = [group.on("presence", this.#draw), group.on("members", () => this.#watch())];
    this.#watch();
  }

  close(): void {
    for (const off of this.#off) off();
    this.#off = [];
    clearTimeout(this.#timer);
    this.#seen = [];
    this.#said = 0;
    this.#group = undefined;
    this.#draw();
  }

  /** These members are on screen. */
  see(users: readonly string[]): void {
    this.#seen = users;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#watch(), PAUSE);
  }

  /** What was written is sent. */
  sent(): void {
    if (this.#said > 0) this.#group?.presence.stopped().catch(() => {}); // it ends by itself
    this.#said = 0;
  }

  #isSmall(group: Group): boolean {
    return (group.memberCount ?? Infinity) <= SMALL;
  }

  #watch(): void {
    const group = this.#group;
    if (group === undefined) return;
    group.presence.watch(this.#isSmall(group) ? group.members.keys() : this.#seen);
    this.#draw();
  }

  #types(text: string): void {
    const group = this.#group;
    if (group === undefined || !this.#isSmall(group)) return;
    if (text === "") return this.sent();
    if (Date.now() - this.#said < AGAIN) return;
    this.#said = Date.now();
    group.presence.typing().catch(() => {}); // the next key says it again
  }

  #writing(): string {
    const group = this.#group;
    if (group === undefined) return "";
    const writing = [...group.presence.people.values()].filter((one) => one.typing && one.user !== group.me);
    if (writing.length === 0) return "";
    if (writing.length > NAMED) return "Several people are writing…";
    const names = writing.map((one) => group.members.get(one.user)?.nick ?? "Someone");
    return `${names.join(" and ")} ${names.length === 1 ? "is" : "are"} writing…`;
  }
}
