import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AuditEntry, KeyRecord } from "../../../src/index.js";
import { type SqliteKeyStore, sqliteStore } from "../../../src/stores/sqlite.js";
import { serviceOver } from "../../contract/stores/service.js";
import { drivers } from "../../contract/stores/sqlite-drivers.js";

const CHILD = fileURLToPath(new URL("sqlite-child.ts", import.meta.url));

for (const { name: driver, available, open } of drivers) {
  describe.skipIf(!available)(`sqliteStore over ${driver}: several processes`, () => {
    let directory: string;
    let file: string;
    const children: ChildProcessWithoutNullStreams[] = [];

    beforeEach(() => {
      directory = mkdtempSync(join(tmpdir(), "keybearer-"));
      file = join(directory, "keys.db");
    });

    afterEach(() => {
      for (const child of children.splice(0)) child.kill("SIGKILL");
      rmSync(directory, { recursive: true });
    });

    const start = async (command: string, id = ""): Promise<Child> => {
      const args = ["--no-warnings", "--import", "tsx", CHILD, driver, command, file, id];
      const child = spawn(process.execPath, args);
      children.push(child);
      let stderr = "";
      child.stderr.on("data", (text) => {
        stderr += text;
      });
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      const next = async () => {
        const { value, done } = await lines.next();
        return done ? undefined : JSON.parse(value);
      };
      if ((await next()) !== "ready") throw new Error(stderr);
      return {
        next,
        go: () => child.stdin.write("go\n"),
        kill: async () => {
          child.kill("SIGKILL");
          if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
        },
      };
    };

    const connected = async <T>(use: (store: SqliteKeyStore, connection: ReturnType<typeof open>) => T) => {
      const connection = open(file);
      try {
        return await use(sqliteStore(connection), connection);
      } finally {
        connection.close();
      }
    };

    it("migrates a new file in eight processes at once, and sets it to WAL", async () => {
      const migrating = await Promise.all(Array.from({ length: 8 }, () => start("migrate")));
      for (const child of migrating) child.go();
      const lines = await Promise.all(migrating.map((child) => child.next()));
      expect(lines).toEqual(migrating.map(() => "migrated"));
      await connected(async (store, connection) => {
        expect(connection.prepare("pragma journal_mode").get()).toMatchObject({ journal_mode: "wal" });
        expect(connection.prepare("select version from keybearer_keys_migrations").all()).toHaveLength(5);
        await serviceOver(store).manager.create({
          ownerId: "acme",
          scopes: ["vehicles:read"],
          environment: "live",
        });
      });
    });

    it.each(["delete", "wal"])(
      "has one winner of 50 rotations in two processes (journal_mode=%s)",
      async (mode) => {
        const id = await connected((store, connection) => issued(store, connection, mode));
        const racing = await Promise.all([start("race", id), start("race", id)]);
        for (const child of racing) child.go();
        const lines = await Promise.all(
          racing.map(async ({ next }) => {
            const found: { won?: string; lost?: string }[] = [];
            for (let line = await next(); line !== undefined; line = await next()) found.push(line);
            return found;
          }),
        );
        const outcomes = lines.flat();
        expect(outcomes).toHaveLength(50);
        const winners = outcomes.flatMap(({ won }) => won ?? []);
        expect(winners).toHaveLength(1);
        expect(new Set(outcomes.flatMap(({ lost }) => lost ?? []))).toEqual(new Set(["KeyStateError"]));
        await connected(async (store) => {
          expect((await everything(store)).heads.map((key) => key.id)).toEqual(winners);
        });
      },
    );

    it("keeps keys and audit trail consistent when a process is killed during rotations", async () => {
      const ROUNDS = 10;
      let head = await connected((store, connection) => issued(store, connection, "delete"));
      for (let round = 0; round < ROUNDS; round++) {
        if (round === ROUNDS / 2) await connected((_, connection) => setJournal(connection, "wal"));
        const rotating = await start("rotate", head);
        rotating.go();
        let last: { id: string; secret: string } = await rotating.next();
        for (let wanted = Math.floor(Math.random() * 40); wanted > 0; wanted--) last = await rotating.next();
        // Kills at a random time during the next rotation.
        const killAt = performance.now() + Math.random() * 3;
        while (performance.now() < killAt);
        await rotating.kill();
        for (let line = await rotating.next(); line !== undefined; line = await rotating.next()) last = line;

        await connected(async (store, connection) => {
          expect(connection.prepare("pragma integrity_check").all()).toMatchObject([
            { integrity_check: "ok" },
          ]);
          const { heads, trail } = await everything(store);
          expect(heads).toHaveLength(1);
          const { ok } = await serviceOver(store).verify(last.secret);
          const known = await store.findById(last.id);
          if (ok) expect(heads[0]?.id).toBe(last.id);
          else {
            // The last rotation was committed, but not reported.
            expect(known?.replacedBy).toBe(heads[0]?.id);
            expect(trail.filter(({ keyId }) => keyId === last.id)).toHaveLength(1);
          }
          head = heads[0]?.id ?? "";
        });
      }
    });
  });
}

interface Child {
  next(): Promise<ReturnType<typeof JSON.parse>>;
  go(): void;
  kill(): Promise<void>;
}

function setJournal(connection: { prepare(sql: string): { all(): unknown[] } }, mode: string): void {
  expect(connection.prepare(`pragma journal_mode = ${mode}`).all()).toMatchObject([{ journal_mode: mode }]);
}

async function issued(
  store: SqliteKeyStore,
  connection: Parameters<typeof setJournal>[0],
  mode: string,
): Promise<string> {
  setJournal(connection, mode);
  await store.migrate();
  const { key } = await serviceOver(store).manager.create({
    ownerId: "acme",
    scopes: ["vehicles:read"],
    environment: "live",
  });
  return key.id;
}

/** Reads every key and audit entry, and checks that each rotation was written completely or not at all. */
async function everything(
  store: SqliteKeyStore,
): Promise<{ heads: KeyRecord[]; trail: readonly AuditEntry[] }> {
  const { items: keys } = await store.list({ now: new Date(), limit: 100_000 });
  const { items: trail } = await store.auditTrail({ limit: 100_000 });
  const byId = new Map(keys.map((key) => [key.id, key]));
  const rotated = keys.filter(({ rotatedAt }) => rotatedAt !== null);
  for (const { id, replacedBy, version } of rotated) {
    expect(byId.get(replacedBy ?? "")?.replaces).toBe(id);
    expect(version).toBe(2);
  }
  const entries = trail.filter(({ action }) => action === "rotated");
  expect(entries.map(({ keyId, details }) => [keyId, details.replacedBy]).sort()).toEqual(
    rotated.map(({ id, replacedBy }) => [id, replacedBy]).sort(),
  );
  expect(trail).toHaveLength(rotated.length + 1);
  expect(keys).toHaveLength(rotated.length + 1);
  return { heads: keys.filter(({ rotatedAt }) => rotatedAt === null), trail };
}
