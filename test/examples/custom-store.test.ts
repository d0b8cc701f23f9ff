import { type ChildProcessWithoutNullStreams, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FileStore, fileStore } from "../../examples/custom-store/store.js";
import type { ManagedKeyStore } from "../../src/index.js";
import { type Service, serviceOver } from "../contract/stores/service.js";

const ROOT = new URL("../..", import.meta.url).pathname;
const KEY = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" } as const;

let directory: string;
let path: string;
const opened: FileStore[] = [];
const children: ChildProcessWithoutNullStreams[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "keybearer-"));
  path = join(directory, "keys.json");
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  for (const store of opened.splice(0)) await store.close();
  rmSync(directory, { recursive: true });
});

// The example has the types of the built package, this test those of the source.
function serviceAt(store: FileStore): Service {
  return serviceOver(store as unknown as ManagedKeyStore);
}

async function open(): Promise<FileStore> {
  const store = await fileStore(path);
  opened.push(store);
  return store;
}

test("passes the contract with the command of its README", async () => {
  const readme = readFileSync(join(ROOT, "examples/custom-store/README.md"), "utf8");
  const command = /^node .*--test .*$/m.exec(readme)?.[0] ?? "";
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` };
  const { code, stdout } = await new Promise<{ code: number | null; stdout: string }>((resolve) => {
    const child = execFile("sh", ["-c", command], { cwd: ROOT, env, maxBuffer: 2 ** 24 }, (_error, stdout) =>
      resolve({ code: child.exitCode, stdout }),
    );
  });
  expect(stdout).toMatch(/^. fail 0$/m);
  expect(Number(/^. pass (\d+)$/m.exec(stdout)?.[1])).toBeGreaterThan(50);
  expect(code).toBe(0);
});

test("keeps keys after a restart", async () => {
  const first = await open();
  const { secret, key } = await serviceAt(first).manager.create(KEY);
  await first.close();
  const second = await open();
  expect((await serviceAt(second).verify(secret)).ok).toBe(true);
  await serviceAt(second).manager.revoke(key.id, { reason: "leaked" });
  await second.close();
  const third = await open();
  expect((await serviceAt(third).verify(secret)).ok).toBe(false);
  expect((await third.auditTrail({ limit: 9 })).items.map(({ action }) => action)).toEqual([
    "revoked",
    "created",
  ]);
  expect(statSync(path).mode & 0o077).toBe(0);
});

test("finishes pending changes before it closes, and rejects later calls", async () => {
  const store = await open();
  const { manager, verify } = serviceAt(store);
  const { secret, key } = await manager.create(KEY);
  const record = await store.findById(key.id);
  const touching = store.touch(new Map([[key.id, new Date(5)]]));
  await Promise.all([store.close(), store.close(), touching]);
  await expect(verify(secret)).rejects.toThrow("store failed");
  await expect(manager.revoke(key.id)).rejects.toThrow("store failed");
  const again = await open();
  expect(await again.findById(key.id)).toEqual({ ...record, lastUsedAt: new Date(5) });
  // Closing the first store again must not unlock the second.
  await store.close();
  await expect(open()).rejects.toThrow("in use");
});

test.each([
  ["is not JSON", () => "{"],
  ["is empty", () => ""],
  ["lost an expiry", (text: string) => text.replace(/"expiresAt":[^,]*,/, "")],
  ["has an invalid expiry", (text: string) => text.replace('"expiresAt":null', '"expiresAt":"never"')],
  ["has an invalid allowlist", (text: string) => text.replace('"ipAllowlist":null', '"ipAllowlist":{}')],
  [
    "has a duplicate key",
    (text: string) => text.replace(/"keys":\[(.*)\],"trail"/, '"keys":[$1,$1],"trail"'),
  ],
])("rejects a file that %s, and unlocks it", async (_, damage) => {
  const store = await open();
  await serviceAt(store).manager.create(KEY);
  await store.close();
  const text = readFileSync(path, "utf8");
  const damaged = damage(text);
  expect(damaged).not.toBe(text);
  writeFileSync(path, damaged);
  await expect(open()).rejects.toThrow();
  writeFileSync(path, text);
  await open();
});

test("rejects a change that cannot be written, and keeps the old state", async () => {
  const store = await open();
  const { manager, verify } = serviceAt(store);
  const { secret, key } = await manager.create(KEY);
  const before = readFileSync(path, "utf8");
  // A directory with the name of the temporary file.
  const blocker = `${path}.tmp`;
  mkdirSync(blocker);
  await expect(manager.disable(key.id)).rejects.toThrow("store failed");
  expect((await verify(secret)).ok).toBe(true);
  expect(readFileSync(path, "utf8")).toBe(before);
  rmSync(blocker, { recursive: true });
  await manager.disable(key.id);
  expect((await verify(secret)).ok).toBe(false);
});

describe("processes", () => {
  /** Starts a process that opens the file on `go` and then runs the code. */
  const start = async (code: string) => {
    const script = `
      import { fileStore } from "./examples/custom-store/store.ts";
      import { serviceOver } from "./test/contract/stores/service.ts";
      import { writeSync } from "node:fs";
      const print = (line) => writeSync(1, JSON.stringify(line) + "\\n");
      const KEY = ${JSON.stringify(KEY)};
      print("ready");
      process.stdin.once("data", async () => {
        const store = await fileStore(${JSON.stringify(path)}).catch((error) => {
          print({ rejected: error.message });
          process.exit();
        });
        const { manager } = serviceOver(store);
        ${code}
      });`;
    const args = ["--no-warnings", "--import", "tsx", "--input-type=module", "--eval", script];
    const child = spawn(process.execPath, args, { cwd: ROOT });
    children.push(child);
    child.stderr.pipe(process.stderr);
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async () => {
      const { value, done } = await lines.next();
      return done ? undefined : JSON.parse(value);
    };
    expect(await next()).toBe("ready");
    return {
      next,
      go: () => child.stdin.write("go\n"),
      kill: async () => {
        child.kill("SIGKILL");
        if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      },
    };
  };

  const ROTATE = `
    let { key: { id }, secret } = await manager.create(KEY);
    for (;;) {
      print({ id, secret });
      ({ key: { id }, secret } = await manager.rotate(id));
    }`;

  test("cannot open a file that another process uses", async () => {
    const store = await open();
    await expect(open()).rejects.toThrow("in use");
    const second = await start(`print("opened");`);
    second.go();
    expect(await second.next()).toMatchObject({ rejected: expect.stringContaining("in use") });
    await store.close();
    await open();
  });

  test("replace the lock of a killed process, but only one of them", async () => {
    const first = await start(`print("opened");`);
    first.go();
    expect(await first.next()).toBe("opened");
    await first.kill();
    expect(existsSync(`${path}.lock`)).toBe(true);
    const racing = await Promise.all(Array.from({ length: 6 }, () => start(`print("opened");`)));
    for (const child of racing) child.go();
    const results = await Promise.all(racing.map((child) => child.next()));
    expect(results.filter((result) => result === "opened")).toHaveLength(1);
    for (const child of racing) await child.kill();
    await open();
    expect(readdirSync(directory).filter((name) => !name.startsWith("keys.json.lock."))).toEqual([
      "keys.json.lock",
    ]);
  });

  test("leave a readable and consistent file after kill -9 during writes", async () => {
    for (let round = 0; round < 8; round++) {
      const rotating = await start(ROTATE);
      rotating.go();
      const printed = [await rotating.next()];
      const end = performance.now() + Math.random() * 60;
      do {
        // The file is complete at every moment.
        expect(JSON.parse(readFileSync(path, "utf8")).keys.length).toBeGreaterThan(round);
        await sleep(0);
      } while (performance.now() < end);
      await rotating.kill();
      for (let line = await rotating.next(); line !== undefined; line = await rotating.next())
        printed.push(line);

      const store = await open();
      const { items: keys } = await store.list({ now: new Date(), limit: 100_000 });
      const { items: trail } = await store.auditTrail({ limit: 100_000 });
      const byId = new Map(keys.map((key) => [key.id, key]));
      // Every key that was returned is in the file.
      for (const { id } of printed) expect(byId.has(id)).toBe(true);
      const rotated = keys.filter(({ rotatedAt }) => rotatedAt !== null);
      for (const { id, replacedBy } of rotated) expect(byId.get(replacedBy ?? "")?.replaces).toBe(id);
      const entries = trail.filter(({ action }) => action === "rotated");
      expect(entries.map(({ keyId, details }) => [keyId, details.replacedBy]).sort()).toEqual(
        rotated.map(({ id, replacedBy }) => [id, replacedBy]).sort(),
      );
      // Each round has one chain: its first key and one successor for each rotation.
      expect(keys).toHaveLength(rotated.length + round + 1);
      expect(trail).toHaveLength(keys.length);
      const last = printed.at(-1);
      const head = byId.get(last.id);
      // The last secret is valid, unless a rotation was written whose result was not printed.
      expect((await serviceAt(store).verify(last.secret)).ok).toBe(head?.replacedBy === null);
      await store.close();
      opened.pop();
    }
  });
});
