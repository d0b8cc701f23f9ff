import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";

export const HOST = "127.0.0.1";

/** Makes a server listen on the loopback address. Returns its URL and a function that stops it. */
export async function listen(
  server: Server,
  port = 0,
): Promise<{ readonly url: string; stop(): Promise<void> }> {
  server.listen(port, HOST);
  await once(server, "listening");
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `http://${HOST}:${bound}`,
    async stop() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
