// No notice of a committed change is lost if the process that made it is killed. `npm run test:webhooks` kills 200 processes.

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, inject, it } from "vitest";
import type { AuditEntry, KeyManager } from "../../../src/index.js";
import { createKeyWebhooks } from "../../../src/webhooks/index.js";
import { allBackends } from "../../contract/stores/backends/all.js";
import { serviceOver } from "../../contract/stores/service.js";

const CHILD = fileURLToPath(new URL("child.ts", import.meta.url));
const KILLS = Number(process.env.KILLS ?? 3);
const servers = inject("servers");
const NAMES = ["postgresStore over pg", "mysqlStore over mysql2", "redisStore over node-redis"];
const backends = allBackends(servers).filter(({ name }) => NAMES.includes(name));

async function everyLeak(keys: KeyManager): Promise<readonly AuditEntry[]> {
  const leaks: AuditEntry[] = [];
  let cursor: string | undefined;
  do {
    const page = await keys.auditTrail({ limit: 1_000, ...(cursor !== undefined && { cursor }) });
    leaks.push(...page.items.filter(({ details }) => details.leak !== undefined));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return leaks;
}

it.each(backends)(
  "$name: every leak that was committed is delivered, after kills at any time",
  async (backend) => {
    const delivered = new Map<string, number>();
    const receiver = createServer((req, res) => {
      const id = String(req.headers["webhook-id"]);
      req.resume().on("end", () => {
        // Some responses are lost, so that the same webhook is sent again.
        if (Math.random() < 0.1) return req.socket.destroy();
        delivered.set(id, (delivered.get(id) ?? 0) + 1);
        res.writeHead(204).end();
      });
    });
    receiver.listen(0, "127.0.0.1");
    await once(receiver, "listening");
    const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
    const secret = `whsec_${randomBytes(32).toString("base64")}`;
    const opened = await backend.create();
    const args = ["--no-warnings", "--import", "tsx", CHILD, backend.name, opened.place, url, secret];
    const env = { ...process.env, SERVERS: JSON.stringify(servers) };
    let child: ChildProcess | undefined;
    try {
      const reported = new Set<string>();
      for (let kill = 0; kill < KILLS; kill++) {
        const running = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "inherit"] });
        child = running;
        const lines = createInterface({ input: running.stdout });
        lines.on("line", (id) => reported.add(id));
        await once(lines, "line");
        await sleep(Math.random() * 300);
        running.kill("SIGKILL");
        await once(running, "close");
      }
      const { manager: keys } = serviceOver(opened.store);
      const leaks = await everyLeak(keys);
      expect(leaks.map(({ keyId }) => keyId)).toEqual(expect.arrayContaining([...reported]));
      const webhooks = createKeyWebhooks({
        ...{ keys, store: opened.store, endpoint: () => ({ url, secret }) },
        ...{ interval: "50ms", allowPrivate: true },
      });
      const isComplete = () => leaks.every(({ id }) => delivered.has(id));
      for (const deadline = Date.now() + 120_000; !isComplete() && Date.now() < deadline; ) await sleep(50);
      await webhooks.close();
      const repeated = [...delivered.values()].filter((count) => count > 1).length;
      console.log(
        `${backend.name}: ${KILLS} kills, ${leaks.length} leaks, ${delivered.size} delivered, ${repeated} more than once`,
      );
      expect([...delivered.keys()].sort()).toEqual(leaks.map(({ id }) => id).sort());
    } finally {
      child?.kill("SIGKILL");
      receiver.closeAllConnections();
      receiver.close();
      await opened.close();
      await backend.drop(opened.place);
    }
  },
  120_000 + KILLS * 10_000,
);
