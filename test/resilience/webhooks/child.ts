// A process of webhooks.test.ts: creates keys, reports them as leaked, and sends webhooks. Arguments: the name of a backend, its
// place, and the URL of the receiver. Prints a line for each report that returned.

import { createKeyWebhooks } from "../../../src/webhooks/index.js";
import { allBackends } from "../../contract/stores/backends/all.js";
import { serviceOver } from "../../contract/stores/service.js";

const [name, place = "", url = "", secret = ""] = process.argv.slice(2);
const opened = await allBackends(JSON.parse(process.env.SERVERS ?? "{}"))
  .find((backend) => backend.name === name)
  ?.open?.(place);
if (opened === undefined) throw new Error(`cannot open ${name}`);
const { store } = opened;
const { manager: keys } = serviceOver(store);
createKeyWebhooks({ keys, store, endpoint: () => ({ url, secret }), interval: "50ms", allowPrivate: true });

for (let number = 0; ; number++) {
  const ownerId = `owner ${process.pid} ${number % 20}`;
  const { key } = await keys.create({ ownerId, environment: "live", scopes: ["vehicles:read"] });
  await keys.reportLeak(key.id, { source: "test" });
  console.log(key.id);
}
