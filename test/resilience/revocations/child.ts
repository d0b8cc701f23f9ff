// A process of revocations.test.ts. Arguments: "reader", "writer" or "crashing", the name of a backend, its place, and the URL of Redis
// for the bus of a writer.
//
// A reader receives lines with lists of secrets, verifies them through a cache until each is denied, and prints when it
// last began to verify each one that was accepted, in nanoseconds of the monotonic clock of the machine. A writer receives
// lines with lists of key ids, prints "writing", revokes them, and prints when the last revocation returned. A crashing writer
// prints when the last revocation is written, and kills itself before one of them returns.

import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "redis";
import { cachedStore, redisBus } from "../../../src/cache/index.js";
import { allBackends } from "../../contract/stores/backends/all.js";
import { serviceOver } from "../../contract/stores/service.js";
import { CHANNEL, HEARTBEAT } from "./bound.js";

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
const { manager, verify } = serviceOver(store);
await store.ready();

const roles = {
  async reader(secrets: readonly string[]) {
    const last: Record<string, string> = {};
    const active = new Set(secrets);
    for (const secret of active) if (!(await verify(secret)).ok) throw new Error("a new key was denied");
    print("warm");
    while (active.size > 0) {
      for (const secret of active) {
        const began = process.hrtime.bigint();
        const result = await verify(secret).catch(() => undefined); // the machine may be too busy
        if (result?.ok) last[secret] = String(began);
        else if (result !== undefined) active.delete(secret);
      }
      await sleep(2);
    }
    print(last);
  },

  async crashing(ids: readonly string[]) {
    unwritten = ids.length;
    await roles.writer(ids);
  },

  async writer(ids: readonly string[]) {
    print("writing");
    await Promise.all(ids.map((id) => manager.revoke(id)));
    print(String(process.hrtime.bigint()));
  },
};

print("ready");
for await (const line of createInterface({ input: process.stdin })) {
  await roles[role as keyof typeof roles](JSON.parse(line));
}
process.exit();
