// A child process of bus.test.ts. Arguments: kind of bus, URL, channel, SQLite file, secret, heartbeat in milliseconds.
// Verifies the secret in a loop, and prints a line of JSON when the result changes or an event was emitted. Exits after
// the first line on stdin.

import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { setImmediate as turn } from "node:timers/promises";
import { cachedStore } from "../../../src/cache/index.js";
import { sqliteStore } from "../../../src/stores/sqlite.js";
import { serviceOver } from "../../contract/stores/service.js";
import { drivers } from "../../contract/stores/sqlite-drivers.js";
import { busKindNamed } from "./bus-kinds.js";

const [kind, url = "", channel = "", file = "", secret = "", heartbeat = ""] = process.argv.slice(2);
const print = (line: unknown): void => {
  writeSync(1, `${JSON.stringify(line)}\n`);
};

const connection = drivers.find(({ available }) => available)?.open(file);
if (connection === undefined) throw new Error("no SQLite driver is available");
const open = await busKindNamed(kind).open(url, channel, "keybearer-child");
const events: string[] = [];
const observers = [({ type }: { readonly type: string }) => events.push(type)];
const options = { bus: open.bus, ttl: "1h", heartbeat: `${Number(heartbeat)}ms`, observers } as const;
const store = cachedStore(sqliteStore(connection), options);
const { verify } = serviceOver(store);
await store.ready();

let running = true;
createInterface({ input: process.stdin }).once("line", () => {
  running = false;
  process.stdin.destroy();
});

let accepted: bigint | undefined;
let lastResult: boolean | undefined;
let printedEvents = 0;
while (running) {
  for (let i = 0; i < 20; i++) {
    const began = process.hrtime.bigint();
    const { ok } = await verify(secret);
    if (ok) accepted = began;
    if (ok !== lastResult || events.length !== printedEvents)
      print({ ok, accepted: String(accepted), events });
    lastResult = ok;
    printedEvents = events.length;
  }
  await turn();
}
print({ ok: lastResult, accepted: String(accepted), events });
await store.close();
await open.close();
connection.close();
