import { randomBytes } from "node:crypto";
import { describe, expect, inject, it } from "vitest";
import { type IssuedKey, KeyStateError, type ManagedKeyStore } from "../../../src/index.js";
import { mysqlStore } from "../../../src/stores/mysql.js";
import { postgresStore } from "../../../src/stores/postgres.js";
import { addKey, sampleKey, settle } from "../../../src/testing/fixtures.js";
import { allBackends } from "../../contract/stores/backends/all.js";
import { dropTablesSql as dropMysql, poolAt as mysqlPool } from "../../contract/stores/backends/mysql.js";
import {
  dropTablesSql as dropPostgres,
  poolAt as postgresPool,
} from "../../contract/stores/backends/postgres.js";
import { until } from "../../contract/stores/redis-server.js";
import { serviceOver } from "../../contract/stores/service.js";

const INPUT = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" };
const CREATIONS = 50;
const ROUNDS = 3;

/** The result of a creation, or `undefined` if it was refused because its creator is revoked. */
const unlessRefused = (creation: Promise<IssuedKey>): Promise<IssuedKey | undefined> =>
  creation.catch((error: unknown) => {
    if (error instanceof KeyStateError) return undefined;
    throw error;
  });

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
  const victims = await Promise.all(
    [1, 2, 3, 4, 5].map(() => operator.manager.create({ ...INPUT, ownerId: "globex" })),
  );
  const children = (await Promise.all([1, 2, 3, 4].map(() => make(root)))) as IssuedKey[];

  const attack = Array.from({ length: CREATIONS }, async (_, index) => {
    await settle(index % 7);
    const holder = index % 2 === 0 ? root : (children[index % 4] as IssuedKey);
    // Some keys are rotated, keys of other holders too, and the others create keys.
    const rotated = [holder, victims[Math.floor(index / 10)] as IssuedKey][index % 5];
    const made = await (rotated === undefined
      ? make(holder)
      : unlessRefused(attacker.rotate(rotated.key.id, { overlap: "1h", createdByKey: holder.key.id })));
    return [made, made && (await make(made))];
  });
  await settle(round * 3);
  await operator.manager.revoke(root.key.id, { descendants: true, reason: "leaked" });
  const made = (await Promise.all(attack)).flat().filter((key) => key !== undefined);

  for (const { secret } of [root, ...children, ...made]) {
    expect(await operator.verify(secret)).toMatchObject({ ok: false, error: { code: "invalid_key" } });
  }
  const { items } = await operator.manager.list({ ownerId: "acme", status: "active", limit: 1_000 });
  expect(items).toEqual([]);
}

/** A database in which a test can hold a revocation open in a transaction of its own. */
interface OpenTransaction {
  readonly store: ManagedKeyStore & { migrate(): Promise<void> };
  revoke(id: string): Promise<unknown>;
  /** The number of statements on the table of the store that wait for a lock. */
  waiting(): Promise<number>;
  commit(): Promise<unknown>;
  close(): Promise<void>;
}

const { postgres, mysql } = inject("servers");
const TABLE = `lineage_${randomBytes(6).toString("hex")}`;

async function overPostgres(): Promise<OpenTransaction> {
  const pool = postgresPool(postgres as string);
  const client = await pool.connect();
  return {
    store: postgresStore(pool, { table: TABLE }),
    async revoke(id) {
      await client.query("begin");
      await client.query(`update ${TABLE} set revoked_at = 1, version = 2 where id = $1`, [id]);
    },
    async waiting() {
      const waits = `select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like $1`;
      const { rows } = await pool.query(waits, [`%insert into "${TABLE}"%`]);
      return Number(rows[0].count);
    },
    commit: () => client.query("commit"),
    async close() {
      client.release();
      await pool.query(dropPostgres(TABLE));
      await pool.end();
    },
  };
}

async function overMysql(): Promise<OpenTransaction> {
  const pool = mysqlPool(mysql as string);
  const connection = await pool.getConnection();
  return {
    store: mysqlStore(pool, { table: TABLE }),
    async revoke(id) {
      await connection.query("start transaction");
      await connection.query(`update ${TABLE} set revoked_at = 1, version = 2 where id = ?`, [id]);
    },
    async waiting() {
      // Not innodb_trx, which repeats its last result while it is read more often than every 100 ms.
      const waits = `select count(*) as waiting from information_schema.processlist where time >= 1 and info like ?`;
      const [rows] = await pool.query(waits, [`insert into \`${TABLE}\`%`]);
      return Number((rows as { waiting: number }[])[0]?.waiting);
    },
    commit: () => connection.query("commit"),
    async close() {
      connection.release();
      await pool.query(dropMysql(TABLE));
      await pool.end();
    },
  };
}

describe.each([
  ["postgresStore", postgres === undefined, overPostgres],
  ["mysqlStore", mysql === undefined, overMysql],
] as const)("%s", (_, isMissing, open) => {
  it.skipIf(isMissing)("inserts no key while a revocation of its creator is not committed yet", async () => {
    const { store, revoke, waiting, commit, close } = await open();
    try {
      await store.migrate();
      const creator = await addKey(store);
      await revoke(creator.id);
      let isSettled = false;
      const insert = addKey(store, sampleKey({ createdByKey: creator.id }))
        .then(() => "inserted")
        .catch((error: unknown) => error)
        .finally(() => {
          isSettled = true;
        });
      await until(async () => isSettled || (await waiting()) > 0);
      expect(isSettled).toBe(false);
      await commit();
      expect(await insert).toBeInstanceOf(KeyStateError);
    } finally {
      await close();
    }
  });
});
