// Whether the time of a refusal tells how close a secret is to one that is there.
//
//   npm run bench:timing
//
// Timings of both ways are taken in one process, in random order. |t| of 4.5 and more in each of three attempts is a
// leak, and the exit status says so. The control has a difference that is meant to be there, and must be found.

import { crc32 } from "node:zlib";
import { createVerifier } from "../../dist/index.js";
import { memoryStore } from "../../dist/stores/memory.js";
import { fill, flat, format, SCOPE, scopes } from "../service.js";
import { type Comparison, compare } from "./welch.js";

const TIMINGS = 100_000;
const WARM_UP = 20_000;
const KEYS = 10_000;
const LEAK = 4.5;
const ATTEMPTS = 3;
const SAME = 20;
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const store = memoryStore();
const live = await fill(store, KEYS);
const revoked = await fill(store, KEYS, { revokedAt: new Date(), revokedReason: "leaked" });
const verifier = createVerifier({ store, scopes, format });

const secrets = {
  unknown: live.map(() => flat(format.generate("live"))),
  "near-miss": live.map(({ secret }) => nearMiss(secret)),
  revoked: revoked.map(({ secret }) => flat(secret)),
  "wrong checksum": live.map(({ secret }) => flat(`${secret.slice(0, -6)}000000`)),
};
type Kind = keyof typeof secrets;

/** The first characters of a key that is there, others behind them, and the checksum that belongs to them. */
function nearMiss(secret: string): string {
  const text = secret.slice(0, SAME) + format.generate("live").slice(SAME, -6);
  let checksum = "";
  for (let rest = crc32(text); checksum.length < 6; rest = Math.floor(rest / 62)) {
    checksum = DIGITS[rest % 62] + checksum;
  }
  if (format.parse(text + checksum) === undefined) throw new Error("a near-miss must have the form of a key");
  return flat(text + checksum);
}

async function timingsOf(a: Kind, b: Kind, count: number): Promise<readonly [number[], number[]]> {
  const timings: [number[], number[]] = [[], []];
  const turns = Uint8Array.from({ length: 2 * count }, (_, index) => index % 2);
  for (let last = turns.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [turns[last], turns[other]] = [turns[other] as number, turns[last] as number];
  }
  for (const turn of turns) {
    const list = secrets[turn === 0 ? a : b];
    const secret = list[Math.floor(Math.random() * list.length)];
    const request = { headers: { authorization: `Bearer ${secret}` }, method: "GET", path: "/vehicles" };
    const start = process.hrtime.bigint();
    const { ok } = await verifier.verify(request, SCOPE);
    const end = process.hrtime.bigint();
    if (ok) throw new Error("a refusal was expected");
    timings[turn as 0 | 1].push(Number(end - start));
  }
  return timings;
}

function tell(a: Kind, b: Kind, attempt: number, { t, kept, means, n }: Comparison): void {
  const [first, second] = means.map((mean) => mean.toFixed(0));
  console.log(
    `${`${a} against ${b}`.padEnd(34)} attempt ${attempt}  t ${t.toFixed(2).padStart(8)}  means ${first} and ${second} ns` +
      ` over the quickest ${(kept * 100).toFixed(0)} %  n ${n[0].toLocaleString("en")} and ${n[1].toLocaleString("en")}`,
  );
}

/** Whether every attempt finds a difference. */
async function differs(a: Kind, b: Kind, attempts: number): Promise<boolean> {
  await timingsOf(a, b, WARM_UP);
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const comparison = compare(...(await timingsOf(a, b, TIMINGS)));
    tell(a, b, attempt, comparison);
    if (Math.abs(comparison.t) < LEAK) return false;
  }
  return true;
}

const leaks = await differs("unknown", "near-miss", ATTEMPTS);
await differs("unknown", "revoked", 1);
const found = await differs("unknown", "wrong checksum", 1);

console.log(
  leaks ? "An unknown secret and a near-miss differ." : "An unknown secret and a near-miss do not differ.",
);
if (!found) console.log("The control was not found: these timings prove nothing.");
process.exitCode = leaks || !found ? 1 : 0;
