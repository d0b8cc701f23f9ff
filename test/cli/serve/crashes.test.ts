// Kills the service under load, as often as KILLS says.

import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, inject, it } from "vitest";
import { administrator, call, type Service, serve, sharedPlace } from "./service.js";

const KILLS = Number(process.env.KILLS ?? 2);
const CLIENTS = 8;

const { postgres, redis } = inject("servers");

interface Known {
  readonly secret: string;
  /** `undefined` if the service was killed before it responded to the revocation. */
  isRevoked: boolean | undefined;
}

describe("keybearer serve, killed under load", { timeout: 60_000 + KILLS * 20_000 }, () => {
  it.for([
    ["SQLite", undefined, false],
    ["PostgreSQL", postgres, postgres === undefined],
    ["Redis", redis, redis === undefined],
  ] as const)("keeps every acknowledged key and revocation on %s", async ([name, url, missing], { skip }) => {
    if (missing) skip();
    const place = sharedPlace(url);
    const admin = await administrator(place);
    const known: Known[] = [];
    let slowestMs = 0;

    for (let kill = 0; kill < KILLS; kill++) {
      const startedAt = performance.now();
      const service = await serve(place);
      slowestMs = Math.max(slowestMs, performance.now() - startedAt);
      await checkAll(service, admin, known);
      const count = known.length;
      const clients = Array.from({ length: CLIENTS }, () => load(service, admin, known));
      const isEnough = () =>
        known.length >= count + CLIENTS && known.slice(count).some(({ isRevoked }) => isRevoked);
      while (!isEnough()) await sleep(10);
      await sleep(50 + Math.random() * 100);
      await service.stop("SIGKILL");
      await Promise.all(clients);
    }
    const last = await serve(place);
    await checkAll(last, admin, known);
    const trail = await call(last, "GET", "/v1/api-keys?limit=1000", admin);
    expect(trail.body.damaged ?? []).toEqual([]);
    expect(known.filter(({ isRevoked }) => isRevoked).length).toBeGreaterThan(0);
    console.info(`${name}: ${KILLS} kills, ${known.length} keys, slowest start ${Math.round(slowestMs)} ms`);
  });
});

/** Creates, verifies and revokes keys until the service is gone. */
async function load(service: Service, admin: string, known: Known[]): Promise<void> {
  for (;;) {
    const created = await call(service, "POST", "/v1/api-keys", admin, { scopes: ["vehicles:read"] }).catch(
      () => {},
    );
    if (created === undefined) return;
    expect(created.status).toBe(201);
    const key: Known = { secret: created.body.secret, isRevoked: false };
    known.push(key);
    const verified = await call(service, "POST", "/verify", admin, { secret: key.secret }).catch(() => {});
    if (verified === undefined) return;
    expect(verified.body.allowed).toBe(true);
    if (known.length % 2 === 0) continue;
    key.isRevoked = undefined;
    const path = `/v1/api-keys/${created.body.key.id}`;
    const revoked = await call(service, "DELETE", path, admin, {}).catch(() => {});
    if (revoked === undefined) return;
    expect(revoked.status).toBe(200);
    key.isRevoked = true;
  }
}

async function checkAll(service: Service, admin: string, known: readonly Known[]): Promise<void> {
  for (const { secret, isRevoked } of known.slice(-200)) {
    const { body } = await call(service, "POST", "/verify", admin, { secret });
    if (isRevoked !== undefined) expect(body.allowed).toBe(!isRevoked);
  }
}
