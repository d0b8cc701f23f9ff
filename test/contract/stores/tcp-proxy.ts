import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** A proxy to a server that can drop a response. */
export interface TcpProxy {
  readonly port: number;
  /** Forwards the next message that contains the text, and closes its connection before the response. */
  dropResponseTo(text: string): void;
  close(): Promise<void>;
}

/** Starts a proxy to the server of a URL. */
export async function startTcpProxy(url: string, defaultPort: number): Promise<TcpProxy> {
  const { hostname, port } = new URL(url);
  const sockets = new Set<Socket>();
  let trigger: string | undefined;

  const server = createServer((client) => {
    const upstream = connect(Number(port || defaultPort), hostname);
    let dropping = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    }
    client.on("data", (data) => {
      if (trigger !== undefined && data.includes(trigger)) {
        trigger = undefined;
        dropping = true;
      }
      upstream.write(data);
    });
    upstream.on("data", (data) => {
      if (dropping) client.destroy();
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
    dropResponseTo: (text) => {
      trigger = text;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
