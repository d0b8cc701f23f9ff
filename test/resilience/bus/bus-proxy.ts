import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP proxy in front of a server, through which a connection can break in every way that one does. */
export interface TcpProxy {
  readonly port: number;
  /** Passes on nothing more, in either direction, and closes nothing: what a dead network looks like. */
  stall(): void;
  /** Closes every connection, and each new one at once. */
  cut(): void;
  /** Works again. What was held up by a stall goes on. */
  heal(): void;
  /** Works again for new connections; those that are stalled stay so for ever. */
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
