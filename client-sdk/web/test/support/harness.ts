/** What the tests of the whole client share. */
import { Folkmoot, type ConnectOptions } from "../../src/client.ts";
import type { Group } from "../../src/group.ts";
import { groupIdText, userIdText } from "../../src/ids.ts";
import { FakeCluster, type FakeLog } from "./fake_cluster.ts";
import { EdgeSettings } from "./fake_edge.ts";
import { FakeNetwork } from "./fake_socket.ts";

const id = (kind: number, last: number): Uint8Array => {
  const bytes = new Uint8Array(16);
  bytes.set([0, 1, 0, last, kind], 0);
  bytes[15] = last;
  return bytes;
};
export const groupOf = (last: number): string => groupIdText(id(1, last));
export const GROUP = groupOf(1);
export const ANN = userIdText(id(4, 2));
export const BOB = userIdText(id(4, 3));

export interface World {
  network: FakeNetwork;
  cluster: FakeCluster;
  edge: EdgeSettings;
  log: FakeLog;
  connect(options?: Partial<ConnectOptions>): Folkmoot;
  close(): void;
}

/** One group with `count` messages, and one edge at `ws://a`. */
export function world(count = 0): World {
  const cluster = new FakeCluster();
  const log = cluster.log(GROUP);
  log.append({ kind: 3, sender: ANN, nick: "ann" });
  log.append({ kind: 3, sender: BOB, nick: "bob" });
  for (let i = 0; i < count; i++) log.append({ sender: BOB, nick: "bob", text: `old ${i}` });
  const edge = new EdgeSettings();
  edge.users.set("ann", ANN).set("bob", BOB);
  edge.nicks.set(ANN, "ann").set(BOB, "bob");
  const network = new FakeNetwork(cluster, { "ws://a": edge });
  const clients: Folkmoot[] = [];
  return {
    network, cluster, edge, log,
    connect(options = {}) {
      const client = Folkmoot.connect({
        urls: ["ws://a"], token: "ann", WebSocket: network.WebSocket, random: () => 0, ...options,
      });
      clients.push(client);
      return client;
    },
    close: () => clients.forEach((c) => c.close()),
  };
}

/** Waits until `condition` holds; gives up after many turns of the event loop. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let turn = 0; turn < 20_000; turn++) {
    if (condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`never came true: ${what}`);
}

/** Notes what a reader of the group would see, in the order it is shown. */
export function watch(group: Group): { shown: number[]; resets: number } {
  const seen = { shown: [] as number[], resets: 0 };
  group.on("entries", (entries) => seen.shown.push(...entries.map((e) => e.seq)));
  group.on("older", (entries) => seen.shown.unshift(...entries.map((e) => e.seq)));
  group.on("reset", () => {
    seen.shown.length = 0;
    seen.resets++;
  });
  return seen;
}

/** 1, 2, …, or from `from` on. */
export const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);
