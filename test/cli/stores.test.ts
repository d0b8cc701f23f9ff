import { spawn } from "node:child_process";
import { chmodSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, inject, it } from "vitest";
import { mysqlBackends } from "../contract/stores/backends/mysql.js";
import { postgresBackends } from "../contract/stores/backends/postgres.js";
import { redisBackends } from "../contract/stores/backends/redis.js";
import { BIN, CONFIG, done, ended, freshName, freshPlace, json, type Place, run } from "./command.js";

interface Kind {
  readonly name: string;
  readonly url: string | undefined;
  readonly missing?: boolean;
  drop(name: string): Promise<void>;
}

const { postgres, mysql, redis } = inject("servers");

const kinds: readonly Kind[] = [
  { name: "a SQLite file", url: undefined, drop: async () => {} },
  {
    name: "PostgreSQL",
    url: postgres,
    missing: postgres === undefined,
    drop: async (table) => postgresBackends(postgres)[0]?.drop(JSON.stringify({ url: postgres, table })),
  },
  {
    name: "MariaDB",
    url: mysql?.replace(/^mysql:/, "mariadb:"),
    missing: mysql === undefined,
    drop: async (table) => mysqlBackends(mysql)[0]?.drop(JSON.stringify({ url: mysql, table })),
  },
  {
    name: "Redis",
    url: redis,
    missing: redis === undefined,
    drop: async (prefix) => {
      const place = { kind: "redisStore over node-redis", urls: [redis], prefix };
      await redisBackends(redis, undefined)[0]?.drop(JSON.stringify(place));
    },
  },
];

interface Key {
  readonly id: string;
  readonly [member: string]: unknown;
}

const WITH_LIFETIME = { ...CONFIG, maxLifetime: "365d" };

describe.each(kinds)("the command line with $name", ({ url, missing = false, drop }) => {
  it.skipIf(missing)("runs every command, from migrate to purge", async () => {
    const name = freshName();
    const place: Place = freshPlace(url, { ...WITH_LIFETIME, table: name, redisPrefix: name });
    try {
      if (!url?.startsWith("redis")) {
        expect(await run(place, ["list"])).toMatchObject({
          code: 1,
          stdout: "",
          stderr: expect.stringContaining("npx keybearer migrate"),
        });
      }
      expect(await json(place, ["migrate"])).toEqual({ migrated: true });

      const args = [
        "create",
        "--owner",
        "acme",
        "--name",
        "CI",
        "--scope",
        "vehicles:write",
        "--expires",
        "90d",
      ];
      const created = await run(place, [
        ...args,
        "--ip",
        "192.0.2.0/24",
        "--rate-limit",
        "600/1m",
        "--actor",
        "ann",
      ]);
      expect(created.code).toBe(0);
      expect(created.stdout).toMatch(/^ezt_live_[0-9A-Za-z]{38}\n$/);
      const secret = created.stdout.trim();
      expect(created.stderr).toContain("acme");
      expect(created.stderr).not.toContain(secret);

      const verify = ["verify", "--scope", "vehicles:read", "--ip"];
      const input = { input: secret };
      expect(await json(place, [...verify, "192.0.2.7"], input)).toMatchObject({
        allowed: true,
        key: { ownerId: "acme", name: "CI", rateLimit: { limit: 600, windowSeconds: 60 } },
      });
      expect(await run(place, [...verify, "198.51.100.1"], input)).toMatchObject({
        code: 3,
        stdout: expect.stringContaining("ip_not_allowed"),
      });

      const [key] = (await json(place, ["list", "--owner", "acme"])) as [Key];
      const rotated = (await json(place, ["rotate", key.id, "--overlap", "24h"])) as {
        secret: string;
        key: Key;
      };
      expect(rotated.key).toMatchObject({ replaces: key.id, environment: "live", name: "CI" });
      const list = await done(place, ["list", "--status", "retiring"]);
      expect(list.split("\n")).toHaveLength(3);
      expect(list).toMatch(new RegExp(`^${key.id}  acme   live +retiring `, "m"));

      await done(place, ["disable", rotated.key.id]);
      if (url === undefined) await done(place, ["enable", rotated.key.id]);
      expect(await run(place, ["revoke", rotated.key.id, "--reason", "test"])).toMatchObject({
        code: 0,
        stdout: "",
      });
      const denied = await run(place, [...verify, "192.0.2.7", "--json"], { input: `${rotated.secret}\n` });
      expect(denied.code).toBe(3);
      expect(JSON.parse(denied.stdout)).toMatchObject({
        allowed: false,
        code: "invalid_key",
        reason: "revoked",
      });

      const changes = url === undefined ? ["revoked", "enabled", "disabled"] : ["revoked", "disabled"];
      const { audit, ...inspected } = (await json(place, ["inspect", rotated.key.id])) as {
        key: Key;
        audit: Key[];
      };
      expect(inspected.key).toMatchObject({ status: "revoked", revokedReason: "test" });
      expect(audit.map(({ action }) => action)).toEqual(changes);
      expect(audit[0]?.actor).toMatch(/^cli:./);

      expect(await json(place, ["purge", "--retention", "1ms"])).toEqual({ purged: 1 });
      const trail = (await json(place, ["audit", "--all"])) as Key[];
      expect(trail.map(({ action }) => action)).toEqual([...["purged", ...changes, "rotated", "created"]]);
      expect(trail.at(-1)).toMatchObject({ actor: "ann", keyId: key.id, at: expect.stringMatching(/Z$/) });
      for (const { stdout, stderr } of [created, denied]) {
        expect(`${stdout}${stderr}${JSON.stringify(trail)}`).not.toContain(rotated.secret);
      }
    } finally {
      if (!missing) await drop(name);
    }
  });
});

it.skipIf(process.platform === "win32")(
  "creates a SQLite file for its owner alone, whatever the umask",
  async () => {
    const { folder, url } = freshPlace();
    const file = join(folder, "keys.db");
    const migrate = () =>
      ended(
        spawn("sh", ["-c", 'umask 022; exec "$0" "$@"', process.execPath, BIN, "migrate"], {
          cwd: folder,
          env: { ...process.env, KEYBEARER_URL: url },
        }),
      );
    expect(await migrate()).toMatchObject({
      code: 0,
      stderr: expect.not.stringContaining("KEYBEARER_FILE_MODE"),
    });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    chmodSync(file, 0o644);
    expect(await migrate()).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("KEYBEARER_FILE_MODE"),
    });
  },
);
