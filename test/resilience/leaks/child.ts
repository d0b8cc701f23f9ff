// A process of leaks.test.ts: a service that caches keys, guards "/" and receives reports at "/leaks". Arguments: the name of a
// backend, its place, and the URL of the public keys. Prints its own URL.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { nodeAuth, toNodeListener } from "../../../src/adapters/node.js";
import { cachedStore } from "../../../src/cache/index.js";
import { keyFormat } from "../../../src/index.js";
import { createLeakReceiver } from "../../../src/leaks/index.js";
import { allBackends } from "../../contract/stores/backends/all.js";
import { serviceOver } from "../../contract/stores/service.js";

const [name, place = "", keysUrl = ""] = process.argv.slice(2);
const opened = await allBackends(JSON.parse(process.env.SERVERS ?? "{}"))
  .find((backend) => backend.name === name)
  ?.open?.(place);
if (opened === undefined) throw new Error(`cannot open ${name}`);

const store = cachedStore(opened.store, { ttl: "1h", heartbeat: "500ms" });
const { manager, verifier } = serviceOver(store);
const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
const receive = toNodeListener(createLeakReceiver({ keys: manager, format, github: { keysUrl } }));
const guarded = nodeAuth(verifier)("vehicles:read", (_, res) => res.end("ok"));
await store.ready();

const server = createServer((req, res) => (req.url === "/leaks" ? receive(req, res) : guarded(req, res)));
server.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
