import { once } from "node:events";
import type { ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { keybearer, keyFormat } from "keybearer";
import { createRateLimiter } from "keybearer/rate-limit";
import { memoryStore } from "keybearer/stores/memory";
import type { ExampleOptions, RunningExample } from "../example.js";
import { HOST } from "../serve.js";
import { scopes } from "./scopes.js";
import { createFleetServer } from "./server.js";

/** Starts the server with three keys. */
export async function start({ port = 0 }: ExampleOptions = {}): Promise<RunningExample> {
  const { verifier, keys, close } = keybearer({
    store: memoryStore(),
    scopes,
    format: keyFormat({ prefix: "fleet", environments: ["live"] }),
    rateLimiter: createRateLimiter({
      windows: [{ name: "minute", per: "key", limit: 60, window: "1m" }],
    }),
  });
  const common = { ownerId: "acme", environment: "live" } as const;
  const { secret: key } = await keys.create({ ...common, scopes: ["vehicles:write"] });
  const { secret: readKey } = await keys.create({ ...common, scopes: ["vehicles:read"] });
  const { secret: restrictedKey } = await keys.create({
    ...common,
    scopes: ["vehicles:read"],
    ipAllowlist: ["203.0.113.0/24"],
  });

  const server = createFleetServer(verifier);
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  server.listen(port, HOST);
  await once(server, "listening");
  const url = `http://${HOST}:${(server.address() as AddressInfo).port}`;
  return {
    credentials: { url, key, readKey, restrictedKey },
    guide: guide(url, readKey),
    async close() {
      const closed = once(server, "close");
      server.close();
      for (const session of sessions) session.destroy();
      await closed;
      await close();
    },
  };
}

function guide(url: string, readKey: string): string {
  return `
A fleet API over HTTP/2 without TLS, at ${url}. It needs a curl with HTTP/2.

# list vehicles
curl -i --http2-prior-knowledge ${url}/vehicles -H 'Authorization: Bearer ${readKey}'

# denied: the key cannot create vehicles
curl -i --http2-prior-knowledge -X POST ${url}/vehicles -H 'Authorization: Bearer ${readKey}'

# denied: no key
curl -i --http2-prior-knowledge ${url}/vehicles`;
}
