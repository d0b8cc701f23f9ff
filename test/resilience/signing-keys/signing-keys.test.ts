// A signing key that one process rotates or retires is rejected by another within the heartbeat.

import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { decodeProtectedHeader } from "jose";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { format } from "../../unit/core/fixtures.js";

const HEARTBEAT_MS = 1_000;
const CHILD = fileURLToPath(new URL("child.ts", import.meta.url));
const { postgres: url } = inject("servers");
const table = `signing_keys_${process.pid}`;
const signingKey = Array.from({ length: 12 }, (_, index) => ({
  kid: `key-${index}`,
  key: generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" }),
}));
const setup = { url, table, secret: format.generate("live"), signingKey, heartbeat: "1s" };

class Process {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor() {
    const env = { ...process.env, SETUP: JSON.stringify(setup) };
    const args = ["--no-warnings", "--import", "tsx", CHILD];
    this.#child = spawn(process.execPath, args, { env, stdio: ["pipe", "pipe", "inherit"] });
    const input = this.#child.stdout as NodeJS.ReadableStream;
    this.#lines = createInterface({ input })[Symbol.asyncIterator]();
  }

  async next<T>(): Promise<T> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("the process ended");
    return JSON.parse(value);
  }

  call<T = string>(...command: readonly string[]): Promise<T> {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
    return this.next();
  }

  async kill(): Promise<void> {
    const closed = once(this.#child, "close");
    this.#child.kill("SIGKILL");
    await closed;
  }
}

describe.skipIf(url === undefined)("two processes with one signingKeyStore", () => {
  let [pool, one, other] = [
    undefined as unknown as pg.Pool,
    undefined as unknown as Process,
    undefined as unknown as Process,
  ];

  beforeAll(async () => {
    pool = new pg.Pool({ connectionString: url, max: 1 });
    await pool.query(`CREATE TABLE ${table} (id int PRIMARY KEY CHECK (id = 1), state text NOT NULL)`);
    [one, other] = [new Process(), new Process()];
    for (const process of [one, other]) expect(await process.next()).toBe("ready");
  }, 60_000);
  afterAll(async () => {
    await Promise.all([one, other].map((process) => process?.kill()));
    await pool?.query(`DROP TABLE IF EXISTS ${table}, ${table}_away`);
    await pool?.end();
  });

  /** Calls a command of `one`, and returns when `other` last accepted the token, in ms after the command returned. */
  async function delayOf(token: string, ...command: readonly string[]): Promise<number> {
    expect(await other.call("verify", token)).toBe("ok");
    const denied = other.call<{ last: string; code: string }>("verifyUntilDenied", token);
    await sleep(Math.random() * HEARTBEAT_MS);
    const returned = await one.call(...command);
    const { last, code } = await denied;
    expect(code).toBe("invalid_key");
    return Number(BigInt(last) - BigInt(returned)) / 1e6;
  }

  it("reject the tokens of a rotated key within the heartbeat, and sign with the new key", async () => {
    for (let index = 0; index < 6; index++) {
      const token = await other.call("issue");
      expect(decodeProtectedHeader(token).kid).toBe(`key-${index}`);
      expect(await delayOf(token, "rotate", `key-${index + 1}`, "0s")).toBeLessThan(HEARTBEAT_MS);
      expect(decodeProtectedHeader(await other.call("issue")).kid).toBe(`key-${index + 1}`);
      expect(await other.call<string[]>("published")).not.toContain(`key-${index}`);
    }
  }, 60_000);

  it("reject the tokens of a key that is retired before its overlap ends", async () => {
    for (let index = 6; index < 9; index++) {
      const token = await other.call("issue");
      await one.call("rotate", `key-${index + 1}`);
      await sleep(HEARTBEAT_MS);
      expect(await delayOf(token, "retire", `key-${index}`)).toBeLessThan(HEARTBEAT_MS);
      expect(await one.call("verify", token)).toBe("invalid_key");
    }
  }, 60_000);

  it("lose no change that both make at once", async () => {
    await Promise.all([one.call("retire", "key-10"), other.call("retire", "key-11")]);
    await sleep(HEARTBEAT_MS);
    for (const process of [one, other]) expect(await process.call("published")).toEqual(["key-9"]);
    expect(await one.call("rotate", "key-0")).toEqual({ error: "TypeError" }); // retired for good
  });

  it("fail closed while the store cannot be read, and recover", async () => {
    const token = await one.call("issue");
    expect(await other.call("verify", token)).toBe("ok");
    await pool.query(`ALTER TABLE ${table} RENAME TO ${table}_away`);
    await sleep(HEARTBEAT_MS);
    for (const process of [one, other]) {
      expect(await process.call("verify", token)).toEqual({ error: "StoreError" });
      expect(await process.call("issue")).toEqual({ error: "StoreError" });
      expect(await process.call("published")).toBe(503);
    }
    await pool.query(`ALTER TABLE ${table}_away RENAME TO ${table}`);
    for (const process of [one, other]) expect(await process.call("verify", token)).toBe("ok");
  });

  it("have one state after a restart", async () => {
    await other.kill();
    other = new Process();
    expect(await other.next()).toBe("ready");
    expect(decodeProtectedHeader(await other.call("issue")).kid).toBe("key-9");
    expect(await other.call("published")).toEqual(["key-9"]);
  }, 60_000);
});
