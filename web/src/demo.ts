/** The demo's page: reads /demo.json and shows one pane for each region. */
import { sameBytes } from "../../client-sdk/web/src/ids.ts";
import { byId, count, eachFrame, make, setText } from "./dom.ts";
import type { Reader } from "./log_view.ts";
import { drawMap } from "./map.ts";
import { Pane } from "./pane.ts";
import { progressByGroup, readSettings, type GroupChoice, type Settings } from "./settings.ts";

const POLL_EVERY = 1_000;

const page = {
  cluster: byId("cluster"),
  group: byId<HTMLSelectElement>("group"),
  map: document.querySelector("#map") as SVGElement,
  bar: byId<HTMLProgressElement>("replay-bar"),
  text: byId("replay-text"),
  groups: byId<HTMLDetailsElement>("replay-groups"),
  agreement: byId("agreement"),
  notice: byId("notice"),
  panes: byId("panes"),
};

let settings: Settings | undefined;
let panes: Pane[] = [];
let paneKey = "";
let chosen: string | undefined;

/** Sets each pane's history against that of the pane that is furthest on. */
const compare = eachFrame(() => {
  const tips = panes.map((pane) => ({ pane, tip: pane.group?.tip }));
  const head = Math.max(0, ...panes.map((pane) => pane.group?.head.seq ?? 0));
  const leader = tips.reduce((a, b) => ((b.tip?.seq ?? 0) > (a.tip?.seq ?? 0) ? b : a), tips[0]!);
  let same = 0;
  let forked = 0;
  for (const { pane, tip } of tips) {
    // Equal (seq, chain) is equal history; who lags is compared where it stands.
    const there = tip && leader.pane.entryAt(tip.seq);
    if (tip === undefined || there?.seq !== tip.seq) {
      pane.stand("unknown", Math.max(0, head - (tip?.seq ?? 0)));
      continue;
    }
    const equal = sameBytes(there.chain, tip.chain);
    if (equal) same++;
    else forked++;
    pane.stand(equal ? "same" : "forked", head - tip.seq);
  }
  const online = panes.filter((pane) => pane.client.state === "online").length;
  page.agreement.dataset.standing = forked > 0 ? "forked" : same === panes.length && online === panes.length ? "same" : "unknown";
  setText(page.agreement, forked > 0
    ? "The regions show different histories"
    : same === panes.length
      ? online === panes.length ? "One order: all regions show the same chain" : `${online} of ${panes.length} panes connected`
      : `${online} of ${panes.length} panes connected`);
  const cluster = panes.map((pane) => pane.client.welcome?.cluster).find((name) => name);
  setText(page.cluster, settings?.cluster ?? cluster ?? "one group, seen from every region");
  map();
});

function choices(from: Settings): GroupChoice[] {
  const groups = from.groups ?? [];
  if (groups.some((group) => group.id === from.group)) return groups;
  const home = from.panes.find((pane) => pane.home)?.region;
  return [{ id: from.group, name: from.name, ...(home === undefined ? {} : { home }) }, ...groups];
}

function homeOf(from: Settings, id: string): string | undefined {
  const named = choices(from).find((group) => group.id === id)?.home;
  return named ?? (id === from.group ? from.panes.find((pane) => pane.home)?.region : undefined);
}

function map(): void {
  if (settings === undefined) return;
  const home = homeOf(settings, chosen ?? settings.group);
  const regions = panes.map((pane) => ({
    name: pane.settings.region, home: pane.settings.region === home, online: pane.client.state === "online",
  }));
  drawMap(page.map, regions, settings.rtt ?? []);
}

function showGroups(from: Settings): void {
  const groups = choices(from);
  const key = JSON.stringify(groups.map(({ id, name, home }) => [id, name, home]));
  if (page.group.dataset.key !== key) {
    page.group.dataset.key = key;
    page.group.replaceChildren(...groups.map(({ id, name, home }) =>
      make("option", { value: id }, home === undefined ? name : `${name} (home ${home})`)));
    page.group.disabled = groups.length < 2;
  }
  page.group.value = chosen ?? from.group;
}

function showReplay(from: Settings): void {
  const { replay } = from;
  const [done, total] = [replay?.done ?? 0, replay?.total ?? 0];
  page.bar.max = Math.max(1, total);
  page.bar.value = done;
  setText(page.text, total === 0 ? "nothing to replay" : done >= total
    ? `done: ${count(total)} lines`
    : `${count(done)} of ${count(total)} lines · ${Math.floor((done / total) * 100)}%`);
  for (const pane of panes) pane.quiet = total > 0 && done < total;
  const groups = progressByGroup(replay);
  page.groups.hidden = groups.length === 0;
  if (page.groups.open) {
    const list = page.groups.querySelector("ul");
    list?.replaceChildren(...groups.map((group) => make("li", {},
      make("span", {}, group.name ?? ""),
      make("progress", { max: String(Math.max(1, group.total)), value: String(group.done), "aria-label": `Replay of ${group.name ?? ""}` }),
      make("span", { class: "quiet" }, `${count(group.done)} / ${count(group.total)}`))));
  }
}

function showPanes(from: Settings): void {
  const key = JSON.stringify(from.panes);
  if (key !== paneKey) {
    paneKey = key;
    for (const pane of panes) pane.close();
    panes = from.panes.map((pane, index) => new Pane(pane, index, compare));
    page.panes.replaceChildren(...panes.map((pane) => pane.element));
  }
  const id = chosen ?? from.group;
  const home = homeOf(from, id);
  const readers = from.panes.map((pane, region): Reader => ({ user: pane.user, name: pane.nick ?? pane.region, region }));
  for (const pane of panes) pane.cut = from.cut?.includes(pane.settings.region) ?? false;
  for (const pane of panes) pane.show(id, pane.settings.region === home, readers);
}

function notice(text: string): void {
  page.notice.hidden = text === "";
  setText(page.notice, text);
}

async function poll(): Promise<void> {
  try {
    settings = await readSettings();
    notice("");
    showPanes(settings);
    showGroups(settings);
    showReplay(settings);
    compare();
  } catch (error) {
    notice(`The demo does not answer: ${(error as Error).message}. Is it still running?`);
  }
  setTimeout(() => void poll(), POLL_EVERY);
}

page.group.addEventListener("change", () => {
  chosen = page.group.value;
  if (settings === undefined) return;
  showPanes(settings);
  compare();
});
page.groups.addEventListener("toggle", () => settings !== undefined && showReplay(settings));
void poll();
