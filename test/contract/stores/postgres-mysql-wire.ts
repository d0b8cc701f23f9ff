import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** A way to a server that can be cut. */
export interface Wire {
  readonly port: number;
  /** Lets the first message with this text through to the server, and cuts its connection before the answer. */
  cutAfter(text: string): void;
  close(): Promise<void>;
}

/** Stands between a client and a server. */
export async function wireTo(url: string, defaultPort: number): Promise<Wire> {
  const { hostname, port } = new URL(url);
  const sockets = new Set<Socket>();
  let fatal: string | undefined;

  const server = createServer((client) => {
    const upstream = connect(Number(port || defaultPort), hostname);
    let cut = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    }
    client.on("data", (data) => {
      if (fatal !== undefined && data.includes(fatal)) {
        fatal = undefined;
        cut = true;
      }
      upstream.write(data);
    });
    upstream.on("data", (data) => {
      if (cut) client.destroy();
      else client.write(data);
    });
    client.on("close", () => upstream.end());
    upstream.on("close", () => client.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address() as { port: number };
  return {
    port: address.port,
    cutAfter: (text) => {
      fatal = text;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
