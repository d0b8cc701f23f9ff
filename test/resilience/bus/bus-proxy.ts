import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP proxy that can interrupt connections. */
export interface TcpProxy {
  readonly port: number;
  /** Stops forwarding in both directions without closing connections, like a dead network. */
  stall(): void;
  /** Closes every connection, and new ones as soon as they are opened. */
  cut(): void;
  /** Works again, with stalled data delivered. */
  heal(): void;
  /** Works again for new connections. Stalled connections stay stalled. */
  abandon(): void;
  close(): Promise<void>;
}

export async function proxyTo(url: string, defaultPort: number): Promise<TcpProxy> {
  const { hostname, port } = new URL(url);
  const pairs = new Set<readonly [Socket, Socket]>();
  const sockets = new Set<Socket>();
  let state: "open" | "stalled" | "cut" = "open";

  const pass = ([a, b]: readonly [Socket, Socket]) => {
    a.pipe(b);
    b.pipe(a);
  };
  const server = createServer((client) => {
    if (state === "cut") {
      client.destroy();
      return;
    }
    const upstream = connect(Number(port) || defaultPort, hostname);
    const pair = [client, upstream] as const;
    pairs.add(pair);
    for (const [one, other] of [pair, [upstream, client]] as const) {
      one.setNoDelay(true);
      one.on("error", () => {});
      sockets.add(one);
      one.on("close", () => {
        pairs.delete(pair);
        sockets.delete(one);
        other.destroy();
      });
    }
    if (state === "open") pass(pair);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  const destroyAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    stall() {
      state = "stalled";
      for (const [client, upstream] of pairs) {
        client.unpipe(upstream).pause();
        upstream.unpipe(client).pause();
      }
    },
    cut() {
      state = "cut";
      destroyAll();
    },
    heal() {
      if (state === "stalled") for (const pair of pairs) pass(pair);
      state = "open";
    },
    abandon() {
      state = "open";
      pairs.clear();
    },
    async close() {
      destroyAll();
      server.close();
      await once(server, "close");
    },
  };
}
