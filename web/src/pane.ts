/** One pane: a client at one region's edge, and its view of the group. */
import { Folkmoot, hex, type Entry, type Group } from "../../client-sdk/web/src/index.ts";
import { count, eachFrame, make, setText } from "./dom.ts";
import { LogView, type Reader } from "./log_view.ts";
import { MembersView } from "./members_view.ts";
import { PeopleView } from "./people.ts";
import { ReceiptsView } from "./receipts.ts";
import { said } from "./row.ts";
import { setCut, type PaneSettings } from "./settings.ts";

/** The own cursor moves at most this often, in milliseconds. */
const READ_EVERY = 1_000;
/** Cursors of the other panes' users are asked for this often: in large groups they are not pushed. */
const CURSORS_EVERY = 3_000;
/** Members offered for completion. */
const OFFERED = 400;

/** Tentative messages of others shown at once. */
const TENTATIVE = 50;
const LABELS = { sending: "sending…", accepted: "tentative", committed: "committed" };

/** How this pane's history stands to the others'. */
export type Standing = "unknown" | "same" | "forked";

const STATES = { connecting: "connecting", online: "connected", waiting: "reconnecting", refused: "refused", closed: "closed" };

export class Pane {
  readonly element: HTMLElement;
  readonly settings: PaneSettings;
  readonly client: Folkmoot;
  group: Group | undefined;
  readonly #index: number;
  readonly #changed: () => void;
  readonly #refresh = eachFrame(() => this.#draw());
  readonly #parts;
  #view: LogView | undefined;
  #receipts: ReceiptsView | undefined;
  #off: (() => void)[] = [];
  #visible = true;
  #lastRead = 0;
  #readTimer: ReturnType<typeof setTimeout> | undefined;
  #readers: readonly Reader[] = [];
  readonly #polling: ReturnType<typeof setInterval>;
  readonly #seen: IntersectionObserver;
  readonly #closed = new AbortController();

  constructor(settings: PaneSettings, index: number, changed: () => void) {
    this.settings = settings;
    this.#index = index;
    this.#changed = changed;
    this.#parts = this.#build();
    this.element = this.#parts.pane;
    this.client = Folkmoot.connect({ urls: [settings.ws], token: settings.token, client: "folkmoot-demo/0.1.0" });
    this.client.on("state", () => {
      this.#refresh();
      changed();
    });
    this.#seen = new IntersectionObserver((entries) => {
      this.#visible = entries.at(-1)?.isIntersecting ?? true;
      this.#read();
    }, { threshold: 0.4 });
    this.#seen.observe(this.element);
    document.addEventListener("visibilitychange", () => this.#read(), { signal: this.#closed.signal });
    this.#polling = setInterval(() => {
      const users = this.#readers.map((r) => r.user);
      if (users.length > 0) this.group?.refreshCursors(users).catch(() => {}); // the next time will do
    }, CURSORS_EVERY);
    this.#refresh();
  }

  /** Shows a group. `home`: whether this region orders it. */
  show(id: string, home: boolean, readers: readonly Reader[]): void {
    this.#parts.home.hidden = !home;
    this.#readers = readers;
    if (this.group?.id === id) return;
    this.#leave();
    const group = this.client.group(id);
    this.group = group;
    const { scroller, list, jump, top } = this.#parts;
    this.#view = new LogView(scroller, list, jump, top, group, readers);
    this.#view.onEnd = () => this.#read();
    const view = this.#view;
    this.#receipts = new ReceiptsView(group, () => view.spoken());
    this.#parts.people.show(group);
    const refresh = () => {
      this.#refresh();
      this.#changed();
    };
    this.#off = [
      group.on("head", refresh),
      group.on("cursors", this.#refresh),
      group.on("members", this.#refresh),
      group.on("outbox", this.#refresh),
      group.on("tentative", this.#refresh),
      group.on("reset", refresh),
      group.on("error", (error) => this.#say(`${error.message}`, error.temporary)),
      group.on("entries", () => this.#say("", true)),
    ];
    refresh();
  }

  /** Whether arriving rows are read out; not while a replay floods them. */
  set quiet(quiet: boolean) {
    const live = quiet ? "off" : "polite";
    if (this.#parts.list.getAttribute("aria-live") !== live) this.#parts.list.setAttribute("aria-live", live);
  }

  /** Colours the head by how it stands to the others. */
  stand(standing: Standing, behind: number): void {
    this.#parts.pane.dataset.standing = standing;
    const text = standing === "forked" ? "another history!" : behind > 0 ? `${count(behind)} behind` : standing === "same" ? "same everywhere" : "";
    setText(this.#parts.standing, text);
  }

  /** The entry at `seq`, when it is held. */
  entryAt(seq: number): Entry | undefined {
    return this.group?.entries.findLast((entry) => entry.seq <= seq);
  }

  close(): void {
    clearInterval(this.#polling);
    clearTimeout(this.#readTimer);
    this.#seen.disconnect();
    this.#closed.abort();
    this.#leave();
    this.client.close();
    this.element.remove();
  }

  #leave(): void {
    for (const off of this.#off) off();
    this.#view?.close();
    this.#receipts?.close();
    this.#parts.people.close();
    this.#parts.who.close();
    if (this.group !== undefined) this.client.closeGroup(this.group.id);
    this.group = undefined;
    this.#say("", true);
  }

  /** Whether the region is cut off from the others. */
  set cut(cut: boolean) {
    const { pane, knife } = this.#parts;
    knife.disabled = false;
    if (pane.dataset.cut === String(cut)) return;
    pane.dataset.cut = String(cut);
    setText(knife, cut ? "Heal" : "Cut off");
    knife.title = cut ? "Connects this region with the others again" : "Cuts this region off from the others";
  }

  #cut(knife: HTMLButtonElement): void {
    knife.disabled = true; // until the demo says that it is so
    setCut(this.#index, this.#parts.pane.dataset.cut !== "true").catch((error: unknown) => {
      knife.disabled = false;
      this.#say((error as Error).message, false);
    });
  }

  #build() {
    const { region, node, ws } = this.settings;
    const id = `pane-${this.#index}`;
    const host = URL.canParse(ws) ? new URL(ws).host : ws;
    const home = make("span", { class: "home", title: "This region puts the group's messages in order" }, "home");
    const state = make("span", { class: "state", role: "status" });
    const knife = make("button", { class: "knife", type: "button" }, "Cut off");
    knife.addEventListener("click", () => this.#cut(knife));
    const alone = make("p", { class: "alone", role: "status" }, "Cut off from the other regions. What is said here is tentative where the home is elsewhere.");
    const figure = (label: string, value: HTMLElement) => make("div", {}, make("dt", {}, label), value);
    const seq = make("dd", { class: "seq" }, "–");
    const chain = make("dd", { class: "chain" });
    const chainHex = make("code", {}, "–");
    const standing = make("span", { class: "standing" });
    chain.append(chainHex, standing);
    const members = make("button", { class: "members", type: "button", title: "Who is here" }, "–");
    const who = new MembersView(region, (users) => people.see(users));
    members.addEventListener("click", () => {
      if (who.open) who.close();
      else if (this.group !== undefined) who.show(this.group);
    });
    const unread = make("dd", { class: "unread" }, "–");
    const header = make("header", {},
      make("div", { class: "where" },
        make("h2", { id: `${id}-title` }, make("span", { class: `swatch region-${this.#index % 6}`, "aria-hidden": "true" }), region),
        home, state, knife),
      make("p", { class: "edge quiet" }, `node ${node} · ${host}`),
      make("dl", { class: "figures" }, figure("Head", seq), figure("Chain", chain), figure("Members", make("dd", {}, members)), figure("Unread", unread)));
    const top = make("p", { class: "top quiet", hidden: "" });
    const list = make("ol", { class: "log", role: "log", "aria-label": `Messages at ${region}`, "aria-live": "polite" });
    const outgoing = make("ol", { class: "outgoing", "aria-label": "Being sent" });
    const scroller = make("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": `Log at ${region}` }, top, list, outgoing);
    const jump = make("button", { class: "jump", type: "button", hidden: "" });
    const error = make("p", { class: "error", role: "alert", hidden: "" });
    const input = make("input", {
      id: `${id}-input`, type: "text", autocomplete: "off", enterkeyhint: "send", maxlength: "4000",
      placeholder: `Say something in ${region}`, list: `${id}-nicks`,
    });
    const people = new PeopleView(input);
    const nicks = make("datalist", { id: `${id}-nicks` });
    const form = make("form", { class: "composer" },
      make("label", { class: "unseen", for: `${id}-input` }, `Message, sent at ${region}`),
      input, nicks, make("button", { type: "submit" }, "Send"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit(input);
    });
    input.addEventListener("input", () => this.#offer(nicks, input.value));
    const pane = make("section", { class: "pane", id, "data-region": region, "aria-labelledby": `${id}-title` },
      header, alone, make("div", { class: "body" }, scroller, jump, who.element), people.element, error, form);
    return { pane, home, state, seq, chainHex, standing, members, who, people, unread, scroller, list, outgoing, jump, top, error, knife };
  }

  /** Offers nicks for completion while the first word is being written. */
  #offer(nicks: HTMLDataListElement, text: string): void {
    const begun = /^[^\s:,]+$/.test(text) ? text.toLowerCase() : undefined;
    if (begun === undefined) return nicks.replaceChildren();
    const known = [...(this.group?.members.values() ?? [])].slice(0, OFFERED).map((m) => m.nick);
    nicks.replaceChildren(...known.filter((n) => n.toLowerCase().startsWith(begun)).slice(0, 8).map((n) => make("option", { value: `${n}: ` })));
  }

  #submit(input: HTMLInputElement): void {
    const group = this.group;
    let text = input.value;
    if (group === undefined || text.trim() === "") return;
    const action = text.startsWith("/me ");
    if (action) text = text.slice(4);
    const addressed = /^(\S+?)[:,](?=\s|$)/.exec(text)?.[1];
    const mentions = [...group.members.values()].filter((m) => addressed !== undefined && m.nick === addressed).map((m) => m.user);
    try {
      group.send(text, { action, mentions: mentions.slice(0, 1) });
      input.value = "";
      this.#parts.people.sent();
      this.#view?.follow();
    } catch (error) {
      this.#say((error as Error).message, false);
    }
  }

  #say(text: string, passing: boolean): void {
    const { error } = this.#parts;
    error.hidden = text === "";
    error.classList.toggle("passing", passing);
    setText(error, text);
  }

  /** Marks as read what is on screen, not more often than once a second. */
  #read(): void {
    const { group } = this;
    if (group === undefined || this.#readTimer !== undefined || document.hidden || !this.#visible) return;
    if (!(this.#view?.following ?? false) || this.client.state !== "online") return;
    const wait = Math.max(0, this.#lastRead + READ_EVERY - Date.now());
    this.#readTimer = setTimeout(() => {
      this.#readTimer = undefined;
      this.#lastRead = Date.now();
      if (this.group !== group || document.hidden || !this.#visible || !this.#view?.following) return;
      group.markRead().catch(() => {}); // the next entry tries again
    }, wait);
  }

  #outgoing(group: Group): void {
    const { outgoing } = this.#parts;
    const others = group.tentative.slice(-TENTATIVE).map((entry) =>
      make("li", { class: "tentative" }, ...said(entry, group), make("span", { class: "quiet" }, "tentative")));
    outgoing.replaceChildren(...others, ...group.outgoing.slice(-20).map((item) => {
      const row = make("li", { class: item.state }, make("span", { class: "text" }, item.action ? `* ${item.text}` : item.text));
      if (item.state !== "failed") {
        row.append(make("span", { class: "quiet" }, LABELS[item.state]));
        return row;
      }
      const retry = make("button", { type: "button" }, "Try again");
      const drop = make("button", { type: "button" }, "Discard");
      retry.addEventListener("click", () => this.group?.retry(item));
      drop.addEventListener("click", () => this.group?.discard(item));
      row.append(make("span", { class: "why" }, `Not sent: ${item.error?.message ?? ""}`), retry, drop);
      return row;
    }));
  }

  #draw(): void {
    const { group, client } = this;
    const parts = this.#parts;
    const state = client.state;
    parts.pane.dataset.state = state;
    setText(parts.state, STATES[state]);
    parts.state.title = client.error?.message ?? "";
    if (state === "refused") this.#say(client.error?.message ?? "refused", false);
    if (group === undefined) return;
    const tip = group.tip;
    setText(parts.seq, tip === undefined ? "–" : count(tip.seq));
    setText(parts.chainHex, tip === undefined ? "–" : hex(tip.chain.subarray(0, 4)));
    setText(parts.members, group.memberCount === undefined ? "–" : count(group.memberCount));
    setText(parts.unread, group.me === undefined ? "–" : count(group.unread));
    parts.unread.classList.toggle("some", group.unread > 0);
    this.#outgoing(group);
  }
}
