// Verifications with the memory store, compared with a hand-written check, the least possible work, and other libraries.
// With a number of keys as argument, only the comparison with the hand-written check and the least possible work.

import { hash } from "node:crypto";
import { cachedStore } from "../../dist/cache/index.js";
import { createVerifier, type ManagedKeyStore } from "../../dist/index.js";
import { memoryStore } from "../../dist/stores/memory.js";
import { handWrittenCheck } from "../hand-written-check.js";
import { interleave, ratios, type Variant } from "../measure.js";
import {
  betterAuthPeer,
  fastifyPeer,
  honoPeer,
  josePeer,
  type Peer,
  passportPeer,
  prefixedPeer,
} from "../peers.js";
import { type Goal, printRow, ratioRow } from "../rows.js";
import { createPicker, fill, flat, format, type Issued, SCOPE, scopes } from "../service.js";

const FLOOR = "sha256 + Map.get";
const OURS = "verify";
const HAND_WRITTEN = "hand-written check";
const GOALS: Readonly<Record<number, Goal>> = { 10000: { most: 1.15 }, 1000000: { most: 1 } };

const [selected] = process.argv.slice(2).map(Number);
for (const count of selected === undefined ? [1, 10_000, 1_000_000] : [selected]) {
  await compareWithHandWritten(count);
}
if (selected === undefined) {
  await compareWithCache(10_000); // last: with two stores in use, a process is slightly slower
  for (const count of [1, 1_000, 10_000]) await compareWithPeers(count);
}

async function compareWithHandWritten(count: number): Promise<void> {
  const store = memoryStore();
  const keys = await fill(store, count);
  const picks = { key: createPicker(keys), request: createPicker(keys.map(request)) };
  const variants = [
    floorVariant(keys, picks.key),
    handWritten(keys, picks.request),
    verification(OURS, store, picks.request),
  ];
  const samples = await interleave(variants, { seconds: 5 });
  const keyCount = `${count.toLocaleString("en")} keys`;
  printRow(
    ratioRow(
      "verify",
      `${OURS}, ${keyCount}`,
      HAND_WRITTEN,
      ratios(samples, OURS, HAND_WRITTEN),
      GOALS[count],
    ),
  );
  for (const name of [HAND_WRITTEN, OURS])
    printRow(ratioRow("verify", `${name}, ${keyCount}`, FLOOR, ratios(samples, name, FLOOR)));
}

async function compareWithCache(count: number): Promise<void> {
  const store = memoryStore();
  const keys = await fill(store, count);
  const hit = "cachedStore hit";
  const samples = await interleave(
    [verification(OURS, store, createPicker(keys.map(request))), await cached(hit, store, keys)],
    {
      seconds: 4,
    },
  );
  const measured = `${hit}, ${count.toLocaleString("en")} keys`;
  printRow(ratioRow("verify", measured, "memoryStore", ratios(samples, hit, OURS), { most: 2 }));
}

async function compareWithPeers(count: number): Promise<void> {
  const store = memoryStore();
  const keys = await fill(store, count);
  const secrets = keys.map(({ secret }) => secret);
  const peers: Peer[] = [await fastifyPeer(secrets), await honoPeer(secrets)];
  if (count === 10_000) {
    const others = [betterAuthPeer, prefixedPeer, passportPeer, josePeer];
    peers.push(...(await Promise.all(others.map((peer) => peer(count)))).flat());
  }
  const variants = [verification(OURS, store, createPicker(keys.map(request))), ...peers.map(variantOf)];
  const samples = await interleave(variants, { seconds: count === 10_000 ? 10 : 3 });
  for (const { name, goal = 1 } of peers) {
    const measured = `${name}, ${count.toLocaleString("en")} keys`;
    printRow(ratioRow("verify", measured, OURS, ratios(samples, name, OURS), { least: goal }));
  }
}

function floorVariant(keys: readonly Issued[], pick: () => Issued): Variant {
  const map = new Map(keys.map(({ record }) => [record.hash as string, record]));
  return {
    name: FLOOR,
    run(count) {
      for (let index = 0; index < count; index++) {
        if (map.get(hash("sha256", pick().secret, "hex")) === undefined) throw new Error("A key is missing");
      }
    },
  };
}

function handWritten(keys: readonly Issued[], pick: () => BenchRequest): Variant {
  const map = new Map(keys.map(({ record }) => [record.hash as string, record]));
  return {
    name: HAND_WRITTEN,
    async run(count) {
      for (let index = 0; index < count; index++) {
        if ((await handWrittenCheck(pick().headers.authorization, format, map, SCOPE)) === undefined)
          throw new Error("A key was denied");
      }
    },
  };
}

function verification(name: string, store: ManagedKeyStore, pick: () => BenchRequest): Variant {
  const verifier = createVerifier({ store, scopes, format, environment: "live" });
  return {
    name,
    async run(count) {
      for (let index = 0; index < count; index++) {
        const result = await verifier.verify(pick(), SCOPE);
        if (!result.ok) throw new Error("A key was denied");
      }
    },
  };
}

interface BenchRequest {
  readonly headers: Readonly<Record<string, string>>;
}

function request({ secret }: Issued): BenchRequest {
  return { headers: { authorization: flat(`Bearer ${secret}`) } };
}

/** All keys are in the cache. */
async function cached(name: string, store: ManagedKeyStore, keys: readonly Issued[]): Promise<Variant> {
  const cache = cachedStore(store, { ttl: "60s", max: 20_000 });
  for (const { record } of keys) await cache.findByHash(record.hash);
  return verification(name, cache, createPicker(keys.map(request)));
}

function variantOf({ name, check }: Peer): Variant {
  return {
    name,
    async run(count) {
      for (let index = 0; index < count; index++) {
        if ((await check()) !== true) throw new Error(`${name} denied a valid key`);
      }
    },
  };
}
