import fc from "fast-check";
import { expect } from "vitest";
import type { ApiKey, CreateKey, KeyManager, ManagedKeyStore, Verifier } from "../../src/index.js";
import { KEY_STATUSES } from "../../src/kit.js";
import { bearer, type FleetScope, type stoppedClock } from "../unit/core/fixtures.js";
import {
  actionsOf,
  isAllowed,
  isHeld,
  isLive,
  type Model,
  type ModelKey,
  newestFirst,
  outcomeOfAdding,
  pick,
  statusOf,
  viewOf,
} from "./manager-model.js";

/** The system under test. */
export interface Real {
  readonly store: ManagedKeyStore;
  readonly manager: KeyManager<FleetScope>;
  readonly verifier: Verifier<FleetScope>;
  readonly clock: ReturnType<typeof stoppedClock>;
}

type Command = fc.AsyncCommand<Model, Real>;

const NOT_FOUND = "KEYBEARER_KEY_NOT_FOUND";
const STATE = "KEYBEARER_KEY_STATE";
const INVALID = "KEYBEARER_INVALID_INPUT";

const OWNERS = ["acme", "globex"];
const SCOPES: readonly FleetScope[] = ["vehicles:read", "vehicles:write", "drivers:read", "fleet:admin"];
const ALLOWLISTS = [null, [], ["192.0.2.0/24"], ["2001:db8::/32", "192.0.2.0/24"]];
const ADDRESSES = ["192.0.2.7", "198.51.100.7", "2001:db8::7", undefined];
const HOUR = 3_600_000;
const OVERLAPS = ["0s", "1ms", "2h", "90d"] as const;
const OVERLAP_MS = { "0s": 0, "1ms": 1, "2h": 2 * HOUR, "90d": 90 * 24 * HOUR };

/** Returns "done" and the result of a promise, or the code of its error. */
async function outcome<T>(promise: Promise<T>): Promise<{ code: string; result?: T }> {
  return promise.then(
    (result) => ({ code: "done", result }),
    (error: { code?: string }) => {
      if (error.code === undefined) throw error;
      return { code: error.code };
    },
  );
}

// Keys that expired within it are suspended too.
const CLOCK_TOLERANCE = 60_000;

const bytesOf = (list: readonly string[] | null) => (list === null ? 0 : JSON.stringify(list).length);

function command(label: string, run: Command["run"]): Command {
  return { check: () => true, run, toString: () => label };
}

/** A command that changes one key. `expected` returns the outcome, and `apply` changes the model. */
function change(
  name: string,
  index: number,
  expected: (key: ModelKey, now: number, model: Model) => string,
  call: (manager: Real["manager"], id: string, now: number) => Promise<ApiKey>,
  apply: (key: ModelKey, now: number) => void,
): Command {
  return command(`${name}(${index})`, async (model, { manager }) => {
    const { id, key } = pick(model, index);
    const code = key === undefined ? NOT_FOUND : expected(key, model.now, model);
    const { code: actual, result } = await outcome(call(manager, id, model.now));
    expect(actual).toBe(code);
    if (key === undefined || code !== "done") return;
    apply(key, model.now);
    expect(result).toMatchObject(viewOf(key, model.now));
  });
}

const unlessRevoked = (key: ModelKey) => (key.revokedAt === null ? "done" : STATE);

const index = fc.nat(9);
const scopeList = fc.uniqueArray(fc.constantFrom(...SCOPES), { maxLength: 3 });
const allowlist = fc.constantFrom(...ALLOWLISTS);
const expiry = fc.constantFrom(null, -1, 0, 1, HOUR, 48 * HOUR);

const create = fc
  .record({
    ownerId: fc.constantFrom(...OWNERS),
    environment: fc.constantFrom("live", "test"),
    scopes: scopeList,
    ipAllowlist: allowlist,
    expiry,
    name: fc.constantFrom(null, "a", "b"),
  })
  .map(({ expiry: after, ...input }) =>
    command(`create(${JSON.stringify({ ...input, after })})`, async (model, { manager }) => {
      const expiresAt = after === null ? null : new Date(model.now + after);
      const { code, result } = await outcome(
        manager.create({ ...input, expiresAt } as CreateKey<FleetScope>),
      );
      expect(code).toBe(after !== null && after <= 0 ? INVALID : outcomeOfAdding(model, input.ownerId, 1));
      if (result === undefined) return;
      const key: ModelKey = {
        ...input,
        id: result.key.id,
        secret: result.secret,
        createdAt: model.now,
        expiresAt: expiresAt?.getTime() ?? null,
        disabledAt: null,
        suspendedAt: null,
        revokedAt: null,
        revokedReason: null,
        rotatedAt: null,
        replacedBy: null,
        replaces: null,
        lastUsedAt: null,
        actions: ["created"],
      };
      model.keys.push(key);
      expect(result.key).toMatchObject(viewOf(key, model.now));
    }),
  );

const update = fc
  .tuple(
    index,
    fc.record({ name: fc.constantFrom("x", null), ipAllowlist: allowlist, expiry }, { requiredKeys: [] }),
  )
  .map(([at, { expiry: after, ...members }]) => {
    const dated = (now: number) =>
      after === undefined
        ? members
        : { ...members, expiresAt: after === null ? null : new Date(now + after) };
    return change(
      `update ${JSON.stringify({ ...members, after })} `,
      at,
      (key, now, model) => {
        if (key.revokedAt !== null || (after !== undefined && key.rotatedAt !== null)) return STATE;
        if (after !== undefined && after !== null && after <= 0) return INVALID;
        const isRenewed = after !== undefined && !isLive(key, now);
        const grows =
          members.ipAllowlist !== undefined && bytesOf(members.ipAllowlist) > bytesOf(key.ipAllowlist);
        if (!isRenewed && !(grows && isLive(key, now))) return "done";
        return outcomeOfAdding(model, key.ownerId, isRenewed ? 1 : 0);
      },
      (manager, id, now) => manager.update(id, dated(now)),
      (key, now) => {
        Object.assign(key, members);
        if (after !== undefined) key.expiresAt = after === null ? null : now + after;
        if (Object.keys(dated(now)).length > 0) key.actions.push("updated");
      },
    );
  });

const disable = index.map((at) =>
  change(
    "disable",
    at,
    unlessRevoked,
    (manager, id) => manager.disable(id),
    (key, now) => {
      if (key.disabledAt === null) key.actions.push("disabled");
      key.disabledAt ??= now;
    },
  ),
);

const enable = index.map((at) =>
  change(
    "enable",
    at,
    unlessRevoked,
    (manager, id) => manager.enable(id),
    (key) => {
      if (key.disabledAt !== null) key.actions.push("enabled");
      key.disabledAt = null;
    },
  ),
);

const revoke = fc.tuple(index, fc.constantFrom(undefined, "leaked")).map(([at, reason]) =>
  change(
    "revoke",
    at,
    () => "done",
    (manager, id) => manager.revoke(id, reason === undefined ? {} : { reason }),
    (key, now) => {
      if (key.revokedAt !== null) return;
      key.revokedAt = now;
      key.revokedReason = reason ?? null;
      key.actions.push("revoked");
    },
  ),
);

const rotate = fc.tuple(index, fc.constantFrom(...OVERLAPS)).map(([at, overlap]) =>
  command(`rotate(${at}, ${overlap})`, async (model, { manager }) => {
    const { id, key } = pick(model, at);
    const { code, result } = await outcome(manager.rotate(id, { overlap }));
    if (key === undefined) return void expect(code).toBe(NOT_FOUND);
    const isExpired = key.expiresAt !== null && key.expiresAt <= model.now;
    const isFixed = key.rotatedAt !== null || key.revokedAt !== null || isExpired;
    const added = OVERLAP_MS[overlap] > 0 ? 1 : 0;
    expect(code).toBe(isFixed ? STATE : outcomeOfAdding(model, key.ownerId, added));
    if (result === undefined) return;
    const successor = {
      ...key,
      id: result.key.id,
      secret: result.secret,
      createdAt: model.now,
      replaces: key.id,
    };
    model.keys.push({ ...successor, lastUsedAt: null, actions: [] });
    key.rotatedAt = model.now;
    key.replacedBy = result.key.id;
    key.expiresAt = Math.min(key.expiresAt ?? Number.POSITIVE_INFINITY, model.now + OVERLAP_MS[overlap]);
    key.actions.push("rotated");
    expect(result.key).toMatchObject(viewOf(model.keys.at(-1) as ModelKey, model.now));
  }),
);

const suspend = fc.constantFrom(...OWNERS).map((ownerId) =>
  command(`suspendOwner(${ownerId})`, async (model, { manager }) => {
    expect(await manager.suspendOwner(ownerId)).toBe(!model.suspended.has(ownerId));
    if (model.suspended.has(ownerId)) return;
    model.suspended.add(ownerId);
    for (const key of model.keys) {
      if (key.ownerId === ownerId && isLive(key, model.now - CLOCK_TOLERANCE)) key.suspendedAt = model.now;
    }
  }),
);

const resume = fc.constantFrom(...OWNERS).map((ownerId) =>
  command(`resumeOwner(${ownerId})`, async (model, { manager }) => {
    expect(await manager.resumeOwner(ownerId)).toBe(model.suspended.delete(ownerId));
    for (const key of model.keys) {
      if (key.ownerId === ownerId && key.revokedAt === null) key.suspendedAt = null;
    }
  }),
);

const touch = fc.tuple(index, fc.constantFrom(-HOUR, 0)).map(([at, ago]) =>
  command(`touch(${at}, ${ago})`, async (model, { store }) => {
    const { id, key } = pick(model, at);
    await store.touch(new Map([[id, new Date(model.now + ago)]]));
    if (key !== undefined) key.lastUsedAt = Math.max(key.lastUsedAt ?? -Infinity, model.now + ago);
  }),
);

const purge = fc.constantFrom(...OVERLAPS).map((retention) =>
  command(`purge(${retention})`, async (model, { manager }) => {
    const before = model.now - OVERLAP_MS[retention];
    const ended = model.keys.filter((key) =>
      [key.revokedAt, key.expiresAt].some((at) => at !== null && at <= before),
    );
    expect(await manager.purge({ retention })).toEqual({ purged: ended.length });
    for (const key of ended) key.actions.push("purged");
    model.keys = model.keys.filter((key) => !ended.includes(key));
    model.purged.push(...ended);
  }),
);

const advance = fc.constantFrom(1, HOUR, 30 * HOUR).map((ms) =>
  command(`advance(${ms})`, async (model, { clock }) => {
    model.now += ms;
    clock.set(model.now);
  }),
);

const verify = fc
  .tuple(index, fc.constantFrom(...ADDRESSES), fc.constantFrom(undefined, ...SCOPES), fc.boolean())
  .map(([at, remoteAddress, scope, any]) =>
    command(`verify(${at}, ${remoteAddress}, ${scope})`, async (model, { verifier }) => {
      const key = [...model.keys, ...model.purged][at];
      if (key === undefined) return;
      const required = scope && any ? { anyOf: [scope] } : scope;
      const result = await verifier.verify(bearer(key.secret, { remoteAddress }), required);
      const status = statusOf(key, model.now);
      const works = model.keys.includes(key) && (status === "active" || status === "retiring");
      const expected = !works
        ? "invalid_key"
        : !isAllowed(key, remoteAddress)
          ? "ip_not_allowed"
          : scope !== undefined && !isHeld(key.scopes, scope)
            ? "insufficient_scope"
            : key.id;
      expect(result.ok ? result.principal.id : result.error.code).toBe(expected);
    }),
  );

const filter = fc.record(
  {
    ownerId: fc.constantFrom(...OWNERS),
    status: fc.constantFrom(...KEY_STATUSES),
    environment: fc.constantFrom("live", "test"),
  },
  { requiredKeys: [] },
);

const list = fc.tuple(filter, fc.integer({ min: 1, max: 4 })).map(([query, limit]) =>
  command(`list(${JSON.stringify(query)}, ${limit})`, async (model, { manager }) => {
    const seen: ApiKey[] = [];
    let cursor: string | undefined;
    do {
      const page = await manager.list({ ...query, limit, ...(cursor === undefined ? {} : { cursor }) });
      expect(page.items.length).toBeLessThanOrEqual(limit);
      seen.push(...page.items);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    const expected = model.keys
      .filter((key) => query.ownerId === undefined || key.ownerId === query.ownerId)
      .filter((key) => query.environment === undefined || key.environment === query.environment)
      .filter((key) => query.status === undefined || statusOf(key, model.now) === query.status)
      .sort(newestFirst);
    expect(seen.map(({ id }) => id)).toEqual(expected.map(({ id }) => id));
    expect(seen).toMatchObject(expected.map((key) => viewOf(key, model.now)));
  }),
);

/** Sequences of commands of hosts and clients. */
export const commands: fc.Arbitrary<Iterable<Command>> = fc.commands(
  [
    create,
    create,
    update,
    disable,
    enable,
    revoke,
    rotate,
    rotate,
    suspend,
    resume,
    touch,
    purge,
    advance,
    verify,
    verify,
    list,
  ],
  { size: "+1", maxCommands: 60 },
);

/** Checks that every key and its audit trail match the model. */
export async function compare(model: Model, { manager }: Real): Promise<void> {
  for (const key of model.keys) expect(await manager.get(key.id)).toMatchObject(viewOf(key, model.now));
  for (const key of model.purged) expect(await manager.get(key.id)).toBeUndefined();
  for (const key of [...model.keys, ...model.purged]) {
    const { items } = await manager.auditTrail({ keyId: key.id, limit: 1000 });
    expect(items.map(({ action }) => action)).toEqual(actionsOf(key));
  }
}
