// A process of its own for bus.test.ts: the kind of bus, its URL and channel, a file of keys, a secret and the
// milliseconds of a heartbeat are its arguments. It verifies the secret again and again, answers a line of JSON
// when the verdict or what observers were told has changed, and ends by itself, with nothing left open, after
// the first line that it is sent.

import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { setImmediate as turn } from "node:timers/promises";
import { cachedStore } from "../../../src/cache/index.js";
import { sqliteStore } from "../../../src/stores/sqlite.js";
import { serviceOver } from "../../contract/stores/service.js";
import { drivers } from "../../contract/stores/sqlite-drivers.js";
import { busKindNamed } from "./bus-kinds.js";

const [kind, url = "", channel = "", file = "", secret = "", heartbeat = ""] = process.argv.slice(2);
const say = (line: unknown): void => {
  writeSync(1, `${JSON.stringify(line)}\n`);
};

const connection = drivers.find(({ available }) => available)?.open(file);
if (connection === undefined) throw new Error("there is no driver of SQLite");
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
let verdict: boolean | undefined;
let told = 0;
while (running) {
  for (let i = 0; i < 20; i++) {
    const began = process.hrtime.bigint();
    const { ok } = await verify(secret);
    if (ok) accepted = began;
    if (ok !== verdict || events.length !== told) say({ ok, accepted: String(accepted), events });
    verdict = ok;
    told = events.length;
  }
  await turn();
}
say({ ok: verdict, accepted: String(accepted), events });
await store.close();
await open.close();
connection.close();
