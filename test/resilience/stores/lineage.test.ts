import { describe, expect, inject, it } from "vitest";
import { type IssuedKey, KeyStateError, type ManagedKeyStore } from "../../../src/index.js";
import { allBackends } from "../../contract/stores/backends/all.js";
import { serviceOver } from "../../contract/stores/service.js";

const INPUT = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" };
const CREATIONS = 50;
const ROUNDS = 3;

/** The result of a creation, or `undefined` if it was refused because its maker is revoked. */
const unlessRefused = (creation: Promise<IssuedKey>): Promise<IssuedKey | undefined> =>
  creation.catch((error: unknown) => {
    if (error instanceof KeyStateError) return undefined;
    throw error;
  });

/** Waits for this number of turns of the event loop. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

for (const { name, missing, create, open, drop } of allBackends(inject("servers"))) {
  describe.skipIf(missing !== undefined)(`a leaked key that manages keys, in ${name}`, () => {
    it(`leaves nothing alive that it made in ${CREATIONS} creations and rotations during its revocation`, async () => {
      const opened = await create();
      // The attacker is another process where that is possible.
      const other = await open?.(opened.place);
      try {
        for (let round = 0; round < ROUNDS; round++) {
          await race(opened.store, other?.store ?? opened.store, round);
        }
      } finally {
        await other?.close();
        await opened.close();
        await drop(opened.place);
      }
    }, 120_000);
  });
}

async function race(store: ManagedKeyStore, attackedStore: ManagedKeyStore, round: number): Promise<void> {
  const operator = serviceOver(store);
  const attacker = serviceOver(attackedStore).manager;
  const root = await operator.manager.create(INPUT);
  const make = (key: IssuedKey) =>
    unlessRefused(attacker.create(INPUT, { actor: key.key.id, createdByKey: key.key.id }));
  const children = (await Promise.all([1, 2, 3, 4].map(() => make(root)))) as IssuedKey[];

  const attack = Array.from({ length: CREATIONS }, async (_, index) => {
    await turns(index % 7);
    const holder = index % 2 === 0 ? root : (children[index % 4] as IssuedKey);
    // Some keys are rotated, which creates a successor, and some create further keys.
    const made = await (index % 5 === 4
      ? unlessRefused(attacker.rotate(holder.key.id, { overlap: "1h" }))
      : make(holder));
    return [made, made && (await make(made))];
  });
  await turns(round * 3);
  await operator.manager.revoke(root.key.id, { descendants: true, reason: "leaked" });
  const made = (await Promise.all(attack)).flat().filter((key) => key !== undefined);

  for (const { secret } of [root, ...children, ...made]) {
    expect(await operator.verify(secret)).toMatchObject({ ok: false, error: { code: "invalid_key" } });
  }
  const { items } = await operator.manager.list({ ownerId: "acme", status: "active", limit: 1_000 });
  expect(items).toEqual([]);
}
