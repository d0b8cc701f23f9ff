// A process of revocations.test.ts. Arguments: "reader", "writer" or "crashing", the name of a backend, its place, and the URL of Redis
// for the bus of a writer.
//
// A reader receives lines with credentials and whether to wait until each is denied, or allowed again. It verifies them through a
// cache, and prints when it last began to verify each one with the other result, in nanoseconds of the monotonic clock of the
// machine. A writer receives lines with a method of the manager and its targets, prints "writing", calls it for each, and prints
// when the last call returned. A crashing writer prints when the last change of a key is written, and kills itself before one of
// them returns.

import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "redis";
import { cachedStore, redisBus } from "../../../src/cache/index.js";
import { anyVerifier } from "../../../src/index.js";
import { allBackends } from "../../contract/stores/backends/all.js";
import { serviceOver } from "../../contract/stores/service.js";
import { CHANNEL, type Change, HEARTBEAT, tokensOver, type Wait } from "./bound.js";

const [role, name, place = "", busUrl = ""] = process.argv.slice(2);
const servers = JSON.parse(process.env.SERVERS ?? "{}");
const opened = await allBackends(servers)
  .find((backend) => backend.name === name)
  ?.open?.(place);
if (opened === undefined) throw new Error(`cannot open ${name}`);

const print = (line: unknown): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const publisher = createClient({ url: busUrl, disableOfflineQueue: true });
const subscriber = publisher.duplicate();
for (const client of [publisher, subscriber]) {
  client.on("error", () => {});
  client.connect().catch(() => {});
}
const bus = redisBus({ publisher, subscriber, channel: CHANNEL });
let unwritten = Number.POSITIVE_INFINITY;
const update: typeof opened.store.update = async (...args) => {
  const isWritten = await opened.store.update(...args);
  if (role !== "crashing") return isWritten;
  if (--unwritten === 0) {
    writeSync(1, `"${process.hrtime.bigint()}"\n`);
    process.kill(process.pid, "SIGKILL");
  }
  return new Promise(() => {});
};
const store = cachedStore({ ...opened.store, update }, { ttl: "1h", heartbeat: HEARTBEAT, bus });
const { manager, verifier } = serviceOver(store);
const either = anyVerifier(verifier, tokensOver(store, verifier).verifier);
const verify = (credential: string) =>
  either.verify({ headers: { authorization: `Bearer ${credential}` }, remoteAddress: "192.0.2.7" });
await store.ready();

const roles = {
  async reader({ credentials, until }: Wait) {
    const last: Record<string, string> = {};
    const waiting = new Set(credentials);
    for (const credential of waiting) {
      if ((await verify(credential)).ok === (until === "allowed")) throw new Error(`is ${until} too early`);
    }
    print("warm");
    while (waiting.size > 0) {
      for (const credential of waiting) {
        const began = process.hrtime.bigint();
        const result = await verify(credential).catch(() => undefined); // the machine may be too busy
        if (result?.ok === (until === "allowed")) waiting.delete(credential);
        else if (result !== undefined) last[credential] = String(began);
      }
      await sleep(2);
    }
    print(last);
  },

  async crashing(change: Change) {
    unwritten = change.targets.length;
    await roles.writer(change);
  },

  async writer({ method, targets }: Change) {
    print("writing");
    await Promise.all(targets.map((target) => manager[method](target as never)));
    print(String(process.hrtime.bigint()));
  },
};

print("ready");
for await (const line of createInterface({ input: process.stdin })) {
  await roles[role as keyof typeof roles](JSON.parse(line));
}
process.exit();
