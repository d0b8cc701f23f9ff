import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import Database from "libsql";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createAuditEntry } from "../../src/core/keys/audit-entry.js";
import { hashSecret, type KeyRecord } from "../../src/index.js";
import { sqliteStore } from "../../src/stores/sqlite.js";
import { format } from "../unit/core/fixtures.js";
import { BIN, CONFIG, done, ended, freshPlace, json, run, start } from "./command.js";

const DAY = 86_400_000;
const place = freshPlace();
const secret = format.generate("live");
const HOSTILE = "\u001b[2J\u009b1m\u202egnp\u200b\r\n\u2028\u{e0041}end";
// biome-ignore lint/suspicious/noControlCharactersInRegex: these characters must be escaped
const DANGEROUS = /[\0-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/u;

const ago = (days: number) => new Date(Date.now() - days * DAY);

function record(id: string, more: Partial<KeyRecord> = {}): KeyRecord {
  const none = {
    name: null,
    ipAllowlist: null,
    rateLimit: null,
    metadata: null,
    expiresAt: null,
    lastUsedAt: null,
  };
  const end = { disabledAt: null, revokedAt: null, revokedReason: null, rotatedAt: null, replacedBy: null };
  return {
    ...{
      ...none,
      ...end,
      ...{ disabledBy: null, replaces: null, rotationRoot: null, createdBy: null, createdByKey: null },
      version: 1,
      ownerId: "acme",
      environment: "live",
      start: "ezt_live_",
    },
    ...{ id, hash: hashSecret(`secret of ${id}`), scopes: ["vehicles:read"] },
    ...{ createdAt: ago(1), updatedAt: ago(1) },
    ...more,
  };
}

beforeAll(async () => {
  await done(place, ["migrate"]);
  const database = new Database(join(place.folder, "keys.db"));
  const store = sqliteStore(database);
  const keys = [
    record("hostile", {
      name: HOSTILE,
      metadata: { note: HOSTILE },
      hash: hashSecret(secret),
      ownerId: HOSTILE,
    }),
    record("unused", { createdAt: ago(100) }),
    record("used", { createdAt: ago(100), lastUsedAt: ago(2) }),
    record("ancient", { createdAt: ago(400), lastUsedAt: ago(2) }),
    record("dead", { createdAt: ago(400), revokedAt: ago(2) }),
  ];
  for (const key of keys) {
    await store.insert(key, createAuditEntry("created", key, ago(1), HOSTILE, { note: HOSTILE }));
  }
  database.close();
});

describe("stored values", () => {
  it("are escaped for the terminal, and unchanged in JSON", async () => {
    const printed = await Promise.all([
      done(place, ["list"]),
      done(place, ["inspect", "hostile"]),
      done(place, ["audit"]),
      done(place, ["verify"], { input: secret }),
      done(place, ["inspect", "hostile", "--json"]),
    ]);
    for (const text of printed) {
      expect(text).not.toMatch(DANGEROUS);
      expect(text).toContain("gnp");
    }
    const { key, audit } = JSON.parse(printed[4] as string);
    expect(key).toMatchObject({ name: HOSTILE, ownerId: HOSTILE, metadata: { note: HOSTILE } });
    expect(audit[0]).toMatchObject({ actor: HOSTILE, details: { note: HOSTILE } });
  });

  it("are listed by stale if a key is unused or old", async () => {
    const stale = async (...args: string[]) => {
      const keys = (await json(place, ["stale", ...args])) as { id: string; reasons: string[] }[];
      return Object.fromEntries(keys.map(({ id, reasons }) => [id, reasons]));
    };
    expect(await stale()).toEqual({ unused: ["unused"] });
    expect(await stale("--unused", "90d", "--older", "365d")).toEqual({
      unused: ["unused"],
      ancient: ["old"],
    });
  });
});

describe("a secret", () => {
  it("that cannot be written is reported as lost", async () => {
    const child = start(place, ["create", "--owner", "acme", "--scope", "vehicles:read"]);
    child.stdin.end();
    child.stdout.destroy();
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    expect(await new Promise((resolve) => child.on("close", resolve))).toBe(1);
    expect(stderr).toMatch(
      /^keybearer: The secret of key_\w{32} could not be written \(the output is closed\) and is lost\. Revoke the key/m,
    );
  });

  it.skipIf(!existsSync("/dev/full"))("is reported as lost if the disk is full", async () => {
    const stdout = openSync("/dev/full", "w");
    const child = spawn(process.execPath, [BIN, "create", "--owner", "acme", "--json"], {
      cwd: place.folder,
      env: { ...process.env, KEYBEARER_URL: place.url },
      stdio: ["ignore", stdout, "pipe"],
    });
    const stderr = await text(child.stderr as Readable);
    closeSync(stdout);
    expect(stderr).toMatch(
      /The secret of key_\w{32} could not be written \(.*ENOSPC\) and is lost\. Revoke the key/,
    );
  });

  it("is reported as lost if Ctrl-C ends its reader too", async () => {
    const own = freshPlace(place.url);
    const config = `const write = process.stderr.write.bind(process.stderr);
      process.stderr.write = (text, ...more) => {
        if (text.startsWith("The secret")) process.emit("SIGINT");
        return write(text, ...more);
      };
      export default ${JSON.stringify(CONFIG)};`;
    writeFileSync(join(own.folder, "interrupting.mjs"), config);
    const child = start(own, ["create", "--owner", "acme", "--config", "interrupting.mjs"]);
    child.stdin.end();
    child.stdout.destroy();
    const stderr = text(child.stderr);
    expect(await new Promise((resolve) => child.on("close", resolve))).toBe(130);
    expect(await stderr).toMatch(
      /^keybearer: The secret of key_\w{32} could not be written \(the output is closed\) and is lost\. Revoke the key/m,
    );
  });

  it("is rejected as an argument, and not printed", async () => {
    for (const args of [
      ["verify", secret],
      ["verify", `--secret=${secret}`],
      [secret],
      ["create", "--owner", "acme", secret],
      ["list", "--limit", secret],
      ["list", "--status", `${secret}'`],
      ["list", "--url", `mysql://root@127.0.0.1/test?ssl=${secret}`],
    ]) {
      const result = await run(place, args);
      expect(result).toMatchObject({ code: 2, stdout: "" });
      expect(result.stderr).not.toContain(secret);
    }
  });

  it("is read from a file, and must be one line", async () => {
    const file = join(place.folder, "secret.txt");
    writeFileSync(file, `${secret}\r\n`);
    expect(await json(place, ["verify", "--file", file])).toMatchObject({ allowed: true });
    for (const input of ["\n", `${secret}\n${secret}\n`]) {
      expect(await run(place, ["verify"], { input })).toMatchObject({ code: 2, stdout: "" });
    }
    expect(await run(place, ["verify", "--ip", "office"], { input: secret })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--ip must be an IP address"),
    });
    const other = await run(place, ["verify", "--environment", "test", "--json"], { input: secret });
    expect([other.code, JSON.parse(other.stdout).code]).toEqual([3, "wrong_environment"]);
  });
});

it("restores cursor and line wrapping of the terminal on a second Ctrl-C", async () => {
  const own = freshPlace(place.url);
  const HIDDEN = "\u001b[?25l";
  const preload = `process.stderr.isTTY = true;
    const write = process.stderr.write.bind(process.stderr);
    const interrupt = () => process.emit("SIGINT");
    process.stderr.write = (text, ...more) => {
      if (text === ${JSON.stringify(HIDDEN)}) setImmediate(() => [interrupt(), interrupt()]);
      return write(text, ...more);
    };`;
  writeFileSync(join(own.folder, "terminal.mjs"), preload);
  const child = start(own, ["import"], { TERM: "xterm", NODE_OPTIONS: "--import ./terminal.mjs" });
  const { code, stderr } = await ended(child); // stdin stays open
  expect(code).toBe(130);
  expect(stderr).toContain(HIDDEN);
  const modes = stderr.match(/\[\?\d+[hl]/g) ?? [];
  expect(modes.slice(-2).sort()).toEqual(["[?25h", "[?7h"]);
});

describe("an unavailable server", () => {
  const silent = createServer(() => {});
  beforeAll(() => new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve)));
  afterAll(() => void silent.close());

  it.each(["postgres", "mysql", "redis"])(
    "is reported after the time limit, or at once if it refuses: %s",
    async (scheme) => {
      const { port } = silent.address() as { port: number };
      for (const [at, what] of [
        [port, /no response|time/i],
        [1, /ECONNREFUSED/],
      ] as const) {
        const url = `${scheme}://user:hunter2@127.0.0.1:${at}/0`;
        const result = await run({ ...place, url }, ["list", "--connect-timeout", "500ms"]);
        expect(result).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(what) });
        expect(result.stderr).toContain(`at 127.0.0.1:${at}`);
        expect(result.stderr).not.toContain("hunter2");
      }
    },
  );
});

describe("the exit code", () => {
  it("is 3 for an unknown key or a state that does not allow the change", async () => {
    for (const args of [
      ["inspect", "none"],
      ["rotate", "dead", "--overlap", "1h"],
    ]) {
      expect(await run(place, args)).toMatchObject({
        code: 3,
        stdout: "",
        stderr: expect.stringMatching(/key/),
      });
    }
  });

  it("is 1 for a missing SQLite file, which is not created", async () => {
    const other = { ...place, url: "sqlite:other.db" };
    const result = await run(other, ["list"]);
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining("npx keybearer migrate") });
    expect(() => readFileSync(join(place.folder, "other.db"))).toThrow("ENOENT");
  });

  it.each<[string[], RegExp]>([
    [["create"], /^keybearer: required option '--owner/],
    [["create", "--owner", "acme", "--scope", "reports:read"], /--scope is planned/],
    [["create", "--owner", "acme", "--scope", "vehicle:read"], /Did you mean vehicles:read\?$/m],
    [
      ["create", "--owner", "acme", "--scope", "x"],
      /The scopes are vehicles:read, vehicles:write, reports:read$/m,
    ],
    [["update", "used"], /Pass at least one of --name/],
    [["lst"], /^keybearer: unknown command\n\(Did you mean list\?\)$/m],
    [["create", "--owner", "acme", "--ip", "10.0.0.5/8"], /--ip/],
    [["list", "--limit", "0"], /positive integer/],
    [
      ["list", "--url", "mongodb://user:hunter2@host/x"],
      /^keybearer: --url is not a store URL; expected postgres/,
    ],
  ])("is 2 for invalid arguments: %j", async (args, problem) => {
    const result = await run(place, args);
    expect(result).toMatchObject({ code: 2, stdout: "", stderr: expect.stringMatching(problem) });
    expect(result.stderr).not.toContain("hunter2");
  });

  it("is 0 for --help, which lists the exit codes", async () => {
    expect(await done(place, ["--help"])).toContain("Exit codes:");
    const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
    expect(await done(place, ["--version"])).toBe(`${version}\n`);
  });
});
