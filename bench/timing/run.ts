// Tests whether the time of a denial depends on how similar a secret is to a valid one.
//
//   npm run bench:timing
//
// Both kinds of secret are timed in one process, in random order. |t| of at least 4.5 in all of three attempts is a leak, and
// the exit status is 1. The control has a real difference, which must be detected.

import { crc32 } from "node:zlib";
import { createVerifier } from "../../dist/index.js";
import { memoryStore } from "../../dist/stores/memory.js";
import { fill, flat, format, SCOPE, scopes } from "../service.js";
import { type Comparison, compare } from "./welch.js";

const TIMINGS = 100_000;
const WARM_UP = 20_000;
const KEYS = 10_000;
const T_THRESHOLD = 4.5;
const ATTEMPTS = 3;
const SHARED_LENGTH = 20;
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

/** Returns the first characters of a valid secret, followed by other characters and their checksum. */
function nearMiss(secret: string): string {
  const text = secret.slice(0, SHARED_LENGTH) + format.generate("live").slice(SHARED_LENGTH, -6);
  let checksum = "";
  for (let rest = crc32(text); checksum.length < 6; rest = Math.floor(rest / 62)) {
    checksum = DIGITS[rest % 62] + checksum;
  }
  if (format.parse(text + checksum) === undefined)
    throw new Error("the near-miss is not a well-formed secret");
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
    if (ok) throw new Error("the secret was accepted");
    timings[turn as 0 | 1].push(Number(end - start));
  }
  return timings;
}

function printComparison(a: Kind, b: Kind, attempt: number, { t, kept, means, n }: Comparison): void {
  const [first, second] = means.map((mean) => mean.toFixed(0));
  console.log(
    `${`${a} against ${b}`.padEnd(34)} attempt ${attempt}  t ${t.toFixed(2).padStart(8)}  means ${first} and ${second} ns` +
      ` over the fastest ${(kept * 100).toFixed(0)} %  n ${n[0].toLocaleString("en")} and ${n[1].toLocaleString("en")}`,
  );
}

/** Returns whether every attempt detects a difference. */
async function differs(a: Kind, b: Kind, attempts: number): Promise<boolean> {
  await timingsOf(a, b, WARM_UP);
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const comparison = compare(...(await timingsOf(a, b, TIMINGS)));
    printComparison(a, b, attempt, comparison);
    if (Math.abs(comparison.t) < T_THRESHOLD) return false;
  }
  return true;
}

const leaks = await differs("unknown", "near-miss", ATTEMPTS);
await differs("unknown", "revoked", 1);
const found = await differs("unknown", "wrong checksum", 1);

console.log(
  leaks
    ? "The times of an unknown secret and a near-miss differ."
    : "The times of an unknown secret and a near-miss do not differ.",
);
if (!found) console.log("The difference of the control was not detected, so this run proves nothing.");
process.exitCode = leaks || !found ? 1 : 0;
