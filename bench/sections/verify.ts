// One verification with the memory store, against the least that it could cost, and against others doing that job.

import { hash } from "node:crypto";
import { cachedStore } from "../../dist/cache/index.js";
import { createVerifier, type ManagedKeyStore } from "../../dist/index.js";
import { memoryStore } from "../../dist/stores/memory.js";
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
const GOALS: Readonly<Record<number, Goal>> = { 10000: { most: 1.4 }, 1000000: { most: 1.3 } };

for (const count of [1, 10_000, 1_000_000]) await againstFloor(count);
await againstCache(10_000); // behind the others: a process with two stores in use is a little slower with each
for (const count of [1, 1_000, 10_000]) await againstPeers(count);

async function againstFloor(count: number): Promise<void> {
  const store = memoryStore();
  const keys = await fill(store, count);
  const variants = [floor(keys), checkedFloor(keys), verification(OURS, store, keys)];
  const samples = await interleave(variants, { seconds: 5 });
  for (const { name } of variants.slice(1)) {
    const what = `${name}, ${count.toLocaleString("en")} keys`;
    const goal = name === OURS ? GOALS[count] : undefined;
    tell(ratioRow("verify", what, FLOOR, quotients(samples, name, FLOOR), goal));
  }
}

async function againstCache(count: number): Promise<void> {
  const store = memoryStore();
  const keys = await fill(store, count);
  const hit = "a hit of cachedStore";
  const samples = await interleave([verification(OURS, store, keys), await cached(hit, store, keys)], {
    seconds: 4,
  });
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
  const variants = [verification(OURS, store, keys), ...peers.map(variantOf)];
  const samples = await interleave(variants, { seconds: count === 10_000 ? 10 : 3 });
  for (const { name, goal = 1 } of peers) {
    const what = `${name}, ${count.toLocaleString("en")} keys`;
    tell(ratioRow("verify", what, OURS, quotients(samples, name, OURS), { least: goal }));
  }
}

function floor(keys: readonly Issued[]): Variant {
  const map = new Map(keys.map(({ record }) => [record.hash as string, record]));
  const draw = drawer(keys);
  return {
    name: FLOOR,
    run(times) {
      for (let index = 0; index < times; index++) {
        if (map.get(hash("sha256", draw().secret, "hex")) === undefined) throw new Error("A key is gone");
      }
    },
  };
}

/** The floor, and what must come before it: the secret is cut out of its header, and its checksum verified. */
function checkedFloor(keys: readonly Issued[]): Variant {
  const map = new Map(keys.map(({ record }) => [record.hash as string, record]));
  const draw = drawer(keys.map(request));
  return {
    name: "header + checksum + sha256 + Map.get",
    run(times) {
      for (let index = 0; index < times; index++) {
        const secret = draw().headers.authorization?.slice("Bearer ".length) ?? "";
        if (format.parse(secret) === undefined || map.get(hash("sha256", secret, "hex")) === undefined)
          throw new Error("A key is gone");
      }
    },
  };
}

function verification(name: string, store: ManagedKeyStore, keys: readonly Issued[]): Variant {
  const verifier = createVerifier({ store, scopes, format, environment: "live" });
  const draw = drawer(keys.length > 100_000 ? keys.slice(0, 100_000).map(request) : keys.map(request));
  return {
    name,
    async run(times) {
      for (let index = 0; index < times; index++) {
        const result = await verifier.verify(draw(), SCOPE);
        if (!result.ok) throw new Error("A key was refused");
      }
    },
  };
}

function request({ secret }: Issued): { readonly headers: Readonly<Record<string, string>> } {
  return { headers: { authorization: flat(`Bearer ${secret}`) } };
}

/** All keys are in the cache, and stay there. */
async function cached(name: string, store: ManagedKeyStore, keys: readonly Issued[]): Promise<Variant> {
  const cache = cachedStore(store, { ttl: "60s", max: 20_000 });
  for (const { record } of keys) await cache.findByHash(record.hash);
  return verification(name, cache, keys);
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
