/**
 * A demo made of nothing: serves the page, /demo.json and three fake edges, and
 * replays lines into two groups. For looking at the page and for its test.
 */
import { createServer, type Server } from "node:http";
import { readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { WebSocketServer } from "ws";
import { groupIdText, userIdText } from "../../client-sdk/web/src/ids.ts";
import { FakeCluster, type FakeLog } from "../../client-sdk/web/test/support/fake_cluster.ts";
import { EdgeSettings, FakeSession } from "../../client-sdk/web/test/support/fake_edge.ts";

const TYPES: Record<string, string> = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8" };
const REGIONS = ["eu", "us", "ap"];
const SALUTE = `[09:00] <maren> good morning, everyone
[09:00] <otto> maren: morning! is the ferry running?
[09:01] <maren> otto: it is, but only until noon
=== linus has joined
[09:01] <linus> hello. * how do I read the log from the start?
[09:02]  * otto pours coffee
[09:02] <otto> linus: scroll up, it loads by itself
=== linus is now known as linus_away
[09:03] <brigid> has anyone measured the third region yet? I get about 210 ms there, which is far, but the order of what I read is the very same as here
[09:03] <maren> brigid: that is the point of it
`;

const id = (kind: number, n: number): Uint8Array => {
  const bytes = new Uint8Array(16);
  bytes.set([0, 1, 0, n & 255, kind]);
  bytes[14] = n >> 8;
  bytes[15] = n & 255;
  return bytes;
};

interface Replay {
  log: FakeLog;
  name: string;
  lines: string[];
  done: number;
}

export class FakeDemo {
  readonly cluster = new FakeCluster();
  readonly replays: Replay[] = [];
  readonly users = new Map<string, string>();
  #server: Server | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #sessions = new Set<() => void>();
  port = 0;

  constructor(text = SALUTE.repeat(60)) {
    for (const [i, name] of ["#harbour 2010-03-08", "#workshop 2008-07-01"].entries()) {
      const log = this.cluster.log(groupIdText(id(1, i + 1)));
      const lines = text.split("\n").filter((line) => line !== "");
      this.replays.push({ log, name, lines: i === 0 ? lines : lines.slice(0, 20), done: 0 });
      for (const region of REGIONS) log.append({ kind: 3, sender: this.#user(`guest-${region}`), nick: `guest-${region}` }, Date.now());
    }
  }

  #user(nick: string): string {
    let user = this.users.get(nick);
    if (user === undefined) this.users.set(nick, (user = userIdText(id(4, this.users.size + 1))));
    return user;
  }

  /** Puts so many more people into a group, who say nothing. */
  people(replay: number, number: number, name: (n: number) => string): void {
    const log = this.replays[replay]!.log;
    for (let n = 0; n < number; n++) log.members.set(this.#user(name(n)), { nick: name(n), seq: 1 });
  }

  /** So many of the people of a group have read all of it. */
  read(replay: number, number: number, name: (n: number) => string): void {
    const log = this.replays[replay]!.log;
    for (let n = 0; n < number; n++) log.cursors.set(this.#user(name(n)), log.entries.length);
  }

  /** Somebody comes or goes. */
  is(replay: number, nick: string, online: boolean): void {
    this.replays[replay]!.log.is(this.#user(nick), online);
  }

  /** Replays up to `count` lines of each group. */
  step(count: number): void {
    for (const replay of this.replays) {
      for (let i = 0; i < count && replay.done < replay.lines.length; i++) this.#line(replay.log, replay.lines[replay.done++] ?? "");
    }
  }

  #line(log: FakeLog, line: string): void {
    const now = Date.now();
    const spoke = /^\[\d\d:\d\d\] (?:<([^>]*)>| \* (\S+)) ?(.*)$/.exec(line);
    if (spoke !== null) {
      const nick = spoke[1] ?? spoke[2] ?? "";
      const sender = this.#user(nick);
      const text = spoke[3] ?? "";
      if (!log.members.has(sender)) log.append({ kind: 3, sender, nick }, now);
      const to = /^(\S+?)[:,](?=\s|$)/.exec(text)?.[1];
      const mentions = to !== undefined && this.users.has(to) ? [this.#user(to)] : [];
      log.append({ kind: spoke[1] === undefined ? 2 : 1, sender, nick, text, mentions }, now);
      return;
    }
    const renamed = /^=== (\S+) is now known as (\S+)/.exec(line);
    if (renamed !== null) {
      const [, from = "", to = ""] = renamed;
      const sender = this.#user(from);
      log.append({ kind: 5, sender, subject: sender, nick: from, text: to }, now);
      return;
    }
    log.append({ kind: 6, sender: "", nick: "", text: line.slice(4) }, now);
  }

  /** Serves on a free port, or on `port`. */
  async listen(dist: string, port = 0): Promise<string> {
    const server = createServer((request, response) => {
      const path = new URL(request.url ?? "/", "http://localhost").pathname;
      response.setHeader("content-security-policy", "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:");
      if (path === "/demo.json") {
        response.setHeader("content-type", "application/json");
        return response.end(JSON.stringify(this.settings()));
      }
      try {
        const file = path === "/" ? "index.html" : path.slice(1);
        response.setHeader("content-type", TYPES[extname(file)] ?? "application/octet-stream");
        response.end(readFileSync(join(dist, file.replaceAll("..", ""))));
      } catch {
        response.statusCode = 404;
        response.end();
      }
    });
    const edges = REGIONS.map((region, i) => {
      const edge = new EdgeSettings();
      edge.region = region;
      edge.node = i + 1;
      edge.cluster = "harbour-demo";
      edge.delay = [5, 150, 420][i] ?? 0;
      edge.users.set(`token-${region}`, this.#user(`guest-${region}`));
      for (const [nick, user] of this.users) edge.nicks.set(user, nick);
      return edge;
    });
    const sockets = new WebSocketServer({ server });
    sockets.on("connection", (socket, request) => {
      const edge = edges[REGIONS.indexOf((request.url ?? "").split("/").pop() ?? "")];
      if (edge === undefined) return socket.close();
      const session = new FakeSession(this.cluster, edge, (bytes) => socket.send(bytes), () => socket.close());
      socket.on("message", (data) => session.receive(new Uint8Array(data as Buffer)));
      socket.on("close", () => session.ended());
      this.#sessions.add(() => socket.terminate());
    });
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    this.#server = server;
    this.port = (server.address() as { port: number }).port;
    return `http://127.0.0.1:${this.port}/`;
  }

  settings(): unknown {
    const first = this.replays[0] as Replay;
    const sum = (of: (replay: Replay) => number) => this.replays.map(of).reduce((a, b) => a + b, 0);
    return {
      group: first.log.id,
      name: first.name,
      panes: REGIONS.map((region, i) => ({
        region, node: i + 1, ws: `ws://127.0.0.1:${this.port}/v1/ws/${region}`, token: `token-${region}`,
        user: this.#user(`guest-${region}`), home: i === 0,
      })),
      rtt: [["eu", "us", 75], ["us", "ap", 140], ["eu", "ap", 210]],
      replay: {
        total: sum((r) => r.lines.length), done: sum((r) => r.done),
        groups: this.replays.map((r) => ({ name: r.name, total: r.lines.length, done: r.done })),
      },
      groups: this.replays.map((r, i) => ({ id: r.log.id, name: r.name, home: REGIONS[i], head: r.log.entries.length })),
    };
  }

  /** Replays `count` lines every `ms` milliseconds. */
  run(count: number, ms: number): void {
    this.#timer = setInterval(() => this.step(count), ms);
  }

  /** Breaks every connection. */
  cut(): void {
    for (const end of this.#sessions) end();
    this.#sessions.clear();
  }

  close(): void {
    clearInterval(this.#timer);
    this.cut();
    this.#server?.close();
    this.#server?.closeAllConnections();
  }
}
