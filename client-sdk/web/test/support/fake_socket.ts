/** WebSockets within one process, at whose other end a fake edge sits. */
import type { Socket, SocketConstructor } from "../../src/session.ts";
import type { FakeCluster } from "./fake_cluster.ts";
import { FakeSession, type EdgeSettings } from "./fake_edge.ts";

export class FakeNetwork {
  readonly sockets = new Set<FakeSocket>();
  readonly cluster: FakeCluster;
  readonly edges: Map<string, EdgeSettings>;
  /** URLs that refuse connections. */
  readonly down = new Set<string>();
  readonly dialled: string[] = [];

  constructor(cluster: FakeCluster, edges: Record<string, EdgeSettings>) {
    this.cluster = cluster;
    this.edges = new Map(Object.entries(edges));
  }

  /** The constructor to give to a client. */
  get WebSocket(): SocketConstructor {
    const network = this;
    return class extends FakeSocket {
      constructor(url: string) {
        super(network, url);
      }
    };
  }

  /** Breaks every connection, as a lost network does. */
  cut(): void {
    for (const socket of [...this.sockets]) socket.drop("cut");
  }
}

export class FakeSocket implements Socket {
  binaryType = "blob";
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  readonly #network: FakeNetwork;
  #session: FakeSession | undefined;
  #open = true;

  constructor(network: FakeNetwork, url: string) {
    this.#network = network;
    network.dialled.push(url);
    network.sockets.add(this);
    const settings = network.edges.get(url);
    queueMicrotask(() => {
      if (settings === undefined || network.down.has(url)) return this.drop("refused");
      this.#session = new FakeSession(
        network.cluster, settings, (bytes) => this.deliver(bytes.slice().buffer), () => this.drop("hung up"),
      );
      this.onopen?.(undefined as never);
    });
  }

  /** A message from the server. */
  deliver(data: unknown): void {
    queueMicrotask(() => this.#open && this.onmessage?.({ data }));
  }

  send(data: Uint8Array): void {
    const bytes = data.slice();
    queueMicrotask(() => this.#open && this.#session?.receive(bytes));
  }

  close(): void {
    this.drop("closed");
  }

  drop(reason: string): void {
    if (!this.#open) return;
    this.#open = false;
    this.#network.sockets.delete(this);
    this.#session?.ended();
    queueMicrotask(() => this.onclose?.({ code: 1006, reason }));
  }
}
