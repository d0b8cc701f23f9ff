// From a report of GitHub to one of three processes until the secret is a 401 in all of them. `npm run test:leaks` runs 500 rounds.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, inject, it } from "vitest";
import {
  createSigner,
  documentOf,
  matchOf,
  sendSigned,
  startKeyServer,
} from "../../conformance/leaks/service.js";
import { allBackends } from "../../contract/stores/backends/all.js";
import { serviceOver } from "../../contract/stores/service.js";

const CHILD = fileURLToPath(new URL("child.ts", import.meta.url));
const ROUNDS = Number(process.env.ROUNDS ?? 5);
const BOUND_MS = 1_000;
const servers = inject("servers");
const NAMES = ["postgresStore over pg", "redisStore over node-redis"];
const backends = allBackends(servers).filter(({ name }) => NAMES.includes(name));

const statusAt = async (url: string, secret: string): Promise<number> => {
  const response = await fetch(url, { headers: { authorization: `Bearer ${secret}` } });
  await response.text();
  return response.status;
};

it.each(backends)(
  "$name: a reported secret is a 401 in every process within a second",
  async (backend) => {
    const signer = createSigner("current");
    const keyServer = await startKeyServer(documentOf(signer));
    const opened = await backend.create();
    const args = ["--no-warnings", "--import", "tsx", CHILD, backend.name, opened.place, keyServer.url];
    const env = { ...process.env, SERVERS: JSON.stringify(servers) };
    const children: ChildProcess[] = [];
    try {
      const urls = await Promise.all(
        [1, 2, 3].map(async () => {
          const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "inherit"] });
          children.push(child);
          const [line] = await once(createInterface({ input: child.stdout }), "line");
          return String(line);
        }),
      );
      const { manager } = serviceOver(opened.store);
      const delays: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const { secret } = await manager.create({
          ownerId: `owner ${round}`,
          environment: "live",
          scopes: ["vehicles:read"],
        });
        for (const url of urls) expect(await statusAt(url, secret)).toBe(200);
        const sent = performance.now();
        const reported = sendSigned({ url: urls[round % 3] as string }, signer, [matchOf(secret)]);
        const until401 = async (url: string): Promise<number> => {
          while ((await statusAt(url, secret)) !== 401) await sleep(2);
          return performance.now() - sent;
        };
        delays.push(Math.max(...(await Promise.all(urls.map(until401)))));
        expect((await reported).status).toBe(200);
      }
      delays.sort((a, b) => a - b);
      const at = (share: number) => Math.round(delays[Math.ceil(share * delays.length) - 1] as number);
      console.log(
        `${backend.name}: ${ROUNDS} reports, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, last ${at(1)} ms`,
      );
      expect(at(0.99)).toBeLessThan(BOUND_MS);
    } finally {
      for (const child of children) child.kill("SIGKILL");
      keyServer.close();
      await opened.close();
      await backend.drop(opened.place);
    }
  },
  600_000,
);
