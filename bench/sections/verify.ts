// One verification with the memory store, against the least that it could cost, and against others doing that job.

import { hash } from "node:crypto";
import { cachedStore } from "../../dist/cache/index.js";
import { createVerifier, type ManagedKeyStore } from "../../dist/index.js";
import { memoryStore } from "../../dist/stores/memory.js";
import { checkByHand } from "../hand.js";
import { interleave, quotients, type Variant } from "../measure.js";
import {
  betterAuthPeer,
  fastifyPeer,
  honoPeer,
  josePeer,
  type Peer,
  passportPeer,
  prefixedPeer,
} from "../peers.js";
import { type Goal, ratioRow, tell } from "../rows.js";
import { drawer, fill, flat, format, type Issued, SCOPE, scopes } from "../service.js";

const FLOOR = "sha256 + Map.get";
const OURS = "verify";
const HAND = "a check by hand";
const GOALS: Readonly<Record<number, Goal>> = { 10000: { most: 1.15 }, 1000000: { most: 1 } };

for (const count of [1, 10_000, 1_000_000]) await againstHand(count);
await againstCache(10_000); // behind the others: a process with two stores in use is a little slower with each
for (const count of [1, 1_000, 10_000]) await againstPeers(count);

async function againstHand(count: number): Promise<void> {
  const store = memoryStore();
  const keys = await fill(store, count);
  const draws = { draw: drawer(keys), header: drawer(keys.map(request)) };
  const variants = [
    floor(keys, draws.draw),
    byHand(keys, draws.header),
    verification(OURS, store, draws.header),
  ];
  const samples = await interleave(variants, { seconds: 5 });
  const keyCount = `${count.toLocaleString("en")} keys`;
  tell(ratioRow("verify", `${OURS}, ${keyCount}`, HAND, quotients(samples, OURS, HAND), GOALS[count]));
  for (const name of [HAND, OURS])
    tell(ratioRow("verify", `${name}, ${keyCount}`, FLOOR, quotients(samples, name, FLOOR)));
}

async function againstCache(count: number): Promise<void> {
  const store = memoryStore();
  const keys = await fill(store, count);
  const hit = "a hit of cachedStore";
  const samples = await interleave(
    [verification(OURS, store, drawer(keys.map(request))), await cached(hit, store, keys)],
    {
      seconds: 4,
    },
  );
  const what = `${hit}, ${count.toLocaleString("en")} keys`;
  tell(ratioRow("verify", what, "memoryStore", quotients(samples, hit, OURS), { most: 2 }));
}

async function againstPeers(count: number): Promise<void> {
  const store = memoryStore();
  const keys = await fill(store, count);
  const secrets = keys.map(({ secret }) => secret);
  const peers: Peer[] = [await fastifyPeer(secrets), await honoPeer(secrets)];
  if (count === 10_000) {
    const others = [betterAuthPeer, prefixedPeer, passportPeer, josePeer];
    peers.push(...(await Promise.all(others.map((peer) => peer(count)))).flat());
  }
  const variants = [verification(OURS, store, drawer(keys.map(request))), ...peers.map(variantOf)];
  const samples = await interleave(variants, { seconds: count === 10_000 ? 10 : 3 });
  for (const { name, goal = 1 } of peers) {
    const what = `${name}, ${count.toLocaleString("en")} keys`;
    tell(ratioRow("verify", what, OURS, quotients(samples, name, OURS), { least: goal }));
  }
}

function floor(keys: readonly Issued[], draw: () => Issued): Variant {
  const map = new Map(keys.map(({ record }) => [record.hash as string, record]));
  return {
    name: FLOOR,
    run(times) {
      for (let index = 0; index < times; index++) {
        if (map.get(hash("sha256", draw().secret, "hex")) === undefined) throw new Error("A key is missing");
      }
    },
  };
}

function byHand(keys: readonly Issued[], draw: () => BenchRequest): Variant {
  const map = new Map(keys.map(({ record }) => [record.hash as string, record]));
  return {
    name: HAND,
    async run(times) {
      for (let index = 0; index < times; index++) {
        if ((await checkByHand(draw().headers.authorization, format, map, SCOPE)) === undefined)
          throw new Error("A key was denied");
      }
    },
  };
}

function verification(name: string, store: ManagedKeyStore, draw: () => BenchRequest): Variant {
  const verifier = createVerifier({ store, scopes, format, environment: "live" });
  return {
    name,
    async run(times) {
      for (let index = 0; index < times; index++) {
        const result = await verifier.verify(draw(), SCOPE);
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

/** All keys are in the cache, and stay there. */
async function cached(name: string, store: ManagedKeyStore, keys: readonly Issued[]): Promise<Variant> {
  const cache = cachedStore(store, { ttl: "60s", max: 20_000 });
  for (const { record } of keys) await cache.findByHash(record.hash);
  return verification(name, cache, drawer(keys.map(request)));
}

function variantOf({ name, check }: Peer): Variant {
  return {
    name,
    async run(times) {
      for (let index = 0; index < times; index++) {
        if ((await check()) !== true) throw new Error(`${name} refused a key`);
      }
    },
  };
}
