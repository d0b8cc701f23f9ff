// A revoked key, a key of a suspended owner and their tokens are denied in every process within the bound, by any writer and with
// any of the faults below. Three processes read through a cache. `npm run test:revocations` runs 500 revocations for each case instead of
// a few.

import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { CONFIG, freshPlace, run } from "../../cli/command.js";
import { allBackends } from "../../contract/stores/backends/all.js";
import type { Backend, OpenStore } from "../../contract/stores/backends/backend.js";
import { serviceOver } from "../../contract/stores/service.js";
import { through } from "../bus/bus-kinds.js";
import { proxyTo, type TcpProxy } from "../bus/bus-proxy.js";
import { BOUND_MS, CHANNEL, type Change, SIGNING_KEY, tokensOver, type Wait } from "./bound.js";

const CHILD = fileURLToPath(new URL("child.ts", import.meta.url));
const EPISODES = Number(process.env.EPISODES ?? 1);
const KEYS_AT_ONCE = EPISODES === 1 ? 5 : 50;
const READERS = 3;
const PAUSE_MS = 3_000;
const servers = inject("servers");
const NAMES = ["postgresStore over pg", "mysqlStore over mysql2", "redisStore over node-redis"];
const backends = allBackends(servers).filter(({ name }) => NAMES.includes(name));

class Process {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(role: "reader" | "writer" | "crashing", { name }: Backend, place: string, busUrl: string) {
    const args = ["--no-warnings", "--import", "tsx", CHILD, role, name, place, busUrl];
    const env = { ...process.env, SERVERS: JSON.stringify(servers), CHANNEL, SIGNING_KEY };
    this.child = spawn(process.execPath, args, { env, stdio: ["pipe", "pipe", "inherit"] });
    this.child.stdin?.on("error", () => {}); // it may have been killed
    this.#lines = createInterface({ input: this.child.stdout as NodeJS.ReadableStream })[
      Symbol.asyncIterator
    ]();
  }

  send(value: Wait | Change): void {
    this.child.stdin?.write(`${JSON.stringify(value)}\n`);
  }

  async next<T>(): Promise<T | undefined> {
    const { value, done } = await this.#lines.next();
    return done ? undefined : JSON.parse(value);
  }

  async kill(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once("close", resolve));
    this.child.kill("SIGKILL");
    await ended;
  }
}

describe.each(backends)("$name", (backend) => {
  const busUrl = servers.redis as string;
  let opened: OpenStore;
  let proxy: TcpProxy;
  let readers: Process[];

  beforeAll(async () => {
    opened = await backend.create();
    proxy = await proxyTo(busUrl, 6379);
    const proxied = through(busUrl, proxy.port);
    readers = Array.from({ length: READERS }, () => new Process("reader", backend, opened.place, proxied));
    for (const reader of readers) expect(await reader.next()).toBe("ready");
  });
  afterAll(async () => {
    await Promise.all(readers.map((reader) => reader.kill()));
    await proxy.close();
    await opened.close();
    await backend.drop(opened.place);
  });

  const startWriter = async (url = busUrl, role: "writer" | "crashing" = "writer"): Promise<Process> => {
    const writer = new Process(role, backend, opened.place, url);
    expect(await writer.next()).toBe("ready");
    return writer;
  };

  /** Creates keys of an owner and a token of each. */
  const issue = async (ownerId: string, count: number) => {
    const { manager, verifier } = serviceOver(opened.store);
    const tokens = tokensOver(opened.store, verifier);
    const created = await Promise.all(
      Array.from({ length: count }, () =>
        manager.create({ ownerId, environment: "live", scopes: ["vehicles:read"] }),
      ),
    );
    const secrets = created.map(({ secret }) => secret);
    const issueTokens = () =>
      Promise.all(
        secrets.map(async (secret) => {
          const headers = { authorization: `Bearer ${secret}` };
          const result = await tokens.exchange({ request: { headers, remoteAddress: "192.0.2.7" } });
          return result.ok ? result.accessToken : expect.fail(result.error.message);
        }),
      );
    return { ids: created.map(({ key }) => key.id), secrets, issueTokens };
  };

  /**
   * Lets every reader cache credentials, and `change` change them. Returns by how many milliseconds the last opposite result began
   * after `change` returned. Only readers that ran all the time are bounded.
   */
  const delayOf = async (
    credentials: readonly string[],
    until: Wait["until"],
    change: () => Promise<bigint>,
  ): Promise<number> => {
    for (const reader of readers) reader.send({ credentials, until });
    for (const reader of readers) expect(await reader.next()).toBe("warm");
    const returned = await change();
    let latest = Number.NEGATIVE_INFINITY;
    for (const reader of readers) {
      for (const began of Object.values((await reader.next<Record<string, string>>()) ?? {})) {
        latest = Math.max(latest, Number(BigInt(began) - returned) / 1e6);
      }
    }
    return latest;
  };

  /** Creates keys and tokens, and lets `revoke` revoke the keys. */
  const episode = async (
    revoke: (ids: string[]) => Promise<bigint>,
    count: number = KEYS_AT_ONCE,
  ): Promise<number> => {
    const { ids, secrets, issueTokens } = await issue("acme", count);
    return delayOf([...secrets, ...(await issueTokens())], "denied", () => revoke(ids));
  };

  const now = () => process.hrtime.bigint();

  /** Makes a change with a bare store. */
  const changeHere = async ({ method, targets }: Change): Promise<bigint> => {
    const { manager } = serviceOver(opened.store);
    await Promise.all(targets.map((target) => manager[method](target as never)));
    return now();
  };
  const revokeHere = (ids: readonly string[]) => changeHere({ method: "revoke", targets: ids });

  const changeWith = async (writer: Process, change: Change): Promise<bigint> => {
    writer.send(change);
    expect(await writer.next()).toBe("writing");
    return BigInt((await writer.next<string>()) as string);
  };
  const revokeWith = (writer: Process, ids: readonly string[]) =>
    changeWith(writer, { method: "revoke", targets: ids });

  /** Suspends an owner, resumes it and revokes its keys. Tokens of keys that changed stay invalid. */
  const ownerEpisode = async (make: (change: Change) => Promise<bigint>): Promise<number> => {
    const ownerId = randomUUID();
    const { secrets, issueTokens } = await issue(ownerId, KEYS_AT_ONCE);
    const suspend = () => make({ method: "suspendOwner", targets: [ownerId] });
    const resume = () => make({ method: "resumeOwner", targets: [ownerId] });
    const revokeAll = () => make({ method: "revokeAll", targets: [{ ownerId }] });
    return Math.max(
      await delayOf([...secrets, ...(await issueTokens())], "denied", suspend),
      await delayOf(secrets, "allowed", resume),
      await delayOf([...secrets, ...(await issueTokens())], "denied", revokeAll),
    );
  };

  const CASES: Readonly<Record<string, () => Promise<number>>> = {
    "a writer with a bare store": () => episode(revokeHere),

    async "the command line"() {
      const { url, table, prefix } = JSON.parse(opened.place);
      const place = freshPlace(url ?? busUrl, {
        ...CONFIG,
        ...(table ? { table } : { redisPrefix: prefix }),
      });
      return episode(async ([id = ""]) => {
        const { code, stderr } = await run(place, ["revoke", id]);
        expect(code, stderr).toBe(0);
        return now();
      }, 1);
    },

    async "a writer that cannot reach the bus"() {
      const own = await proxyTo(busUrl, 6379);
      const writer = await startWriter(through(busUrl, own.port));
      own.stall();
      const latest = await episode((ids) => revokeWith(writer, ids));
      await writer.kill();
      await own.close();
      return latest;
    },

    async "a bus that fails for every process"() {
      const writer = await startWriter(through(busUrl, proxy.port));
      proxy.cut();
      const latest = await episode((ids) => revokeWith(writer, ids));
      proxy.heal();
      await writer.kill();
      return latest;
    },

    async "a writer that is killed during its writes"() {
      const writer = await startWriter();
      return episode(async (ids) => {
        writer.send({ method: "revoke", targets: ids });
        expect(await writer.next()).toBe("writing");
        await sleep(Math.random() * 30);
        await writer.kill();
        return revokeHere(ids);
      });
    },

    async "a writer that is killed between its writes and their return"() {
      const writer = await startWriter(busUrl, "crashing");
      const ended = once(writer.child, "close");
      const latest = await episode((ids) => revokeWith(writer, ids));
      expect(await ended).toEqual([null, "SIGKILL"]);
      return latest;
    },

    async "a reader that was paused"() {
      const paused = readers[0] as Process;
      return episode(async (ids) => {
        paused.child.kill("SIGSTOP");
        const returned = await revokeHere(ids);
        await sleep(PAUSE_MS);
        paused.child.kill("SIGCONT");
        return returned;
      });
    },
  };

  const killed = async (change: Change): Promise<bigint> => {
    const writer = await startWriter();
    writer.send(change);
    expect(await writer.next()).toBe("writing");
    await sleep(Math.random() * 30);
    await writer.kill();
    return changeHere(change);
  };

  const OWNER_CASES: Readonly<Record<string, () => Promise<number>>> = {
    "a writer with a bare store": () => ownerEpisode(changeHere),

    async "a bus that fails for every process"() {
      const writer = await startWriter(through(busUrl, proxy.port));
      proxy.cut();
      const latest = await ownerEpisode((change) => changeWith(writer, change));
      proxy.heal();
      await writer.kill();
      return latest;
    },

    // Starts three processes an episode, which takes long.
    ...(EPISODES > 1 && { "writers that are killed during their writes": () => ownerEpisode(killed) }),
  };

  const measure = async (title: string, runOnce: () => Promise<number>): Promise<void> => {
    const delays: number[] = [];
    for (let i = 0; i < EPISODES; i++) delays.push(await runOnce());
    if (EPISODES > 1) {
      const worst = Math.max(...delays);
      console.log(
        `${backend.name}, ${title}: ${EPISODES} episodes, the last acceptance ${worst.toFixed(0)} ms after`,
      );
    }
    expect(Math.max(...delays)).toBeLessThanOrEqual(BOUND_MS);
  };

  it.each(Object.entries(CASES))("denies revoked keys and their tokens in time: %s", measure);
  it.each(Object.entries(OWNER_CASES))(
    "suspends, resumes and revokes the keys of an owner in time: %s",
    measure,
  );
});
