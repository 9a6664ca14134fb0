/** One entry of the log as a row of the list. */
import type { Entry, Group } from "../../client-sdk/web/src/index.ts";
import { hueOf, make } from "./dom.ts";

const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const full = new Intl.DateTimeFormat("en", { dateStyle: "full", timeStyle: "long" });

export function nickElement(nick: string): HTMLElement {
  const element = make("span", { class: "nick" }, nick || "someone");
  element.style.setProperty("--hue", String(hueOf(nick)));
  return element;
}

/** Who is mentioned, by the nicks known, and who is addressed at the start. */
function names(entry: Entry, group: Group): string[] {
  if (entry.mentions.length === 0) return [];
  const known = entry.mentions.map((user) => group.members.get(user)?.nick ?? "").filter((nick) => nick !== "");
  const addressed = /^(\S+?)[:,](?=\s|$)/.exec(entry.text)?.[1];
  return addressed === undefined ? known : [addressed, ...known];
}

/** The text, with mentioned names marked. */
function textNodes(entry: Entry, group: Group): Node[] {
  const text = entry.text;
  const nodes: Node[] = [];
  let plain = 0;
  const lower = text.toLowerCase();
  const marks = names(entry, group)
    .map((name) => [lower.indexOf(name.toLowerCase()), name.length] as const)
    .filter(([at]) => at >= 0)
    .sort((a, b) => a[0] - b[0]);
  for (const [at, length] of marks) {
    if (at < plain) continue;
    nodes.push(document.createTextNode(text.slice(plain, at)), make("mark", {}, text.slice(at, at + length)));
    plain = at + length;
  }
  nodes.push(document.createTextNode(text.slice(plain)));
  return nodes;
}

const nickOf = (user: string, group: Group): string => group.members.get(user)?.nick ?? "someone";

/** What an entry says, without its time. */
export function said(entry: Entry, group: Group): (Node | string)[] {
  const nick = nickElement(entry.nick);
  switch (entry.kind) {
    case "message":
      return [nick, " ", make("span", { class: "text" }, ...(entry.erased ? ["(withdrawn)"] : textNodes(entry, group)))];
    case "action":
      return ["* ", nick, " ", make("span", { class: "text" }, ...textNodes(entry, group))];
    case "join":
      return [nickElement(entry.text || entry.nick), " joined"];
    case "leave":
      return entry.subject === "" || entry.subject === entry.sender
        ? [nickElement(entry.nick || nickOf(entry.subject, group)), " left"]
        : [nickElement(nickOf(entry.subject, group)), " was removed by ", nick];
    case "rename":
      return [nick, " is now ", nickElement(entry.text)];
    case "notice":
      return [make("span", { class: "text" }, entry.text)];
    case "create":
      return entry.nick === "" ? ["The group was created"] : [nick, " created the group"];
    case "ban":
      return [nickElement(nickOf(entry.subject, group)), " was banned"];
    case "profile":
      return [nick, " changed the group's profile"];
    case "edit":
      return [nick, " edited: ", entry.text];
    case "recall":
      return [nick, " withdrew a message"];
    default:
      return [`${entry.kind} by `, nick];
  }
}

/** Makes the row; `me` is the reader. */
export function makeRow(entry: Entry, group: Group, me: string | undefined): HTMLLIElement {
  const spoken = entry.kind === "message" || entry.kind === "action";
  const own = me !== undefined && entry.sender === me;
  const hit = me !== undefined && (entry.mentionsAll || entry.mentions.includes(me));
  const classes = ["row", entry.kind, spoken ? "spoken" : "system", own ? "own" : "", hit ? "hit" : ""];
  const date = new Date(entry.time);
  const time = make("time", { datetime: date.toISOString(), title: `#${entry.seq} · ${full.format(date)}` }, clock.format(date));
  const row = make(
    "li", { class: classes.filter(Boolean).join(" "), "data-seq": String(entry.seq) },
    time, make("div", { class: "said" }, ...said(entry, group)),
    make("span", { class: "reading" }, spoken ? make("span", { class: "read quiet" }) : undefined, make("span", { class: "readers" })),
  );
  return row;
}
