// Sends mixed traffic to several processes, and checks each response with the model.

import { setTimeout as sleep } from "node:timers/promises";
import { type Exchange, type ModelKey, type Outage, RECOVERY_MS, violationOf } from "./model.js";
import { BOUND_MS, format } from "./service.js";

const NETWORKS = ["192.0.2.1", "198.51.100.1"] as const;
const MAX_KEYS = 300;
const MAX_STOPPED = 200;
const OVERLAP_SECONDS = 2;

export interface Counts {
  readonly requests: number;
  readonly byStatus: Readonly<Record<string, number>>;
  readonly changes: Readonly<Record<string, number>>;
  readonly lostResponses: number;
  readonly violations: readonly string[];
}

export interface Traffic {
  /** Runs a number of clients until a time. Resolves when all have ended. */
  run(clients: number, end: number): Promise<void>;
  counts(): Counts;
}

export function createTraffic(urls: readonly string[], admin: string, outages: readonly Outage[]): Traffic {
  const live: ModelKey[] = [];
  const stopped: ModelKey[] = [];
  const byStatus: Record<string, number> = {};
  const changes: Record<string, number> = {};
  const violations: string[] = [];
  let [requests, lostResponses] = [0, 0];

  const send = async (process: number, path: string, init: RequestInit): Promise<[number, string]> => {
    requests += 1;
    try {
      const response = await fetch(`${urls[process]}${path}`, {
        ...init,
        signal: AbortSignal.timeout(30_000),
      });
      const text = await response.text();
      byStatus[response.status] = (byStatus[response.status] ?? 0) + 1;
      return [response.status, text];
    } catch (error) {
      addViolation(`no response: ${error}`);
      return [0, ""];
    }
  };

  const addViolation = (message: string): void => {
    if (violations.length < 100) violations.push(`${new Date().toISOString()} ${message}`);
  };

  const sendRequest = async (key: ModelKey): Promise<void> => {
    const [process, writes, from] = [pick(urls.length), Math.random() < 0.3, NETWORKS[pick(2)] as string];
    const headers = { authorization: `Bearer ${key.secret}`, "x-forwarded-for": from };
    const sentAt = Date.now();
    const [status] = await send(process, "/vehicles", { method: writes ? "POST" : "GET", headers });
    const exchange: Exchange = { key, writes, from, process, sentAt, endedAt: Date.now(), status };
    const violation = violationOf(exchange, outages, BOUND_MS);
    if (violation !== undefined)
      addViolation(`${violation}: ${JSON.stringify({ ...exchange, key: { ...key, secret: "…" } })}`);
  };

  const sendInvalid = async (): Promise<void> => {
    const secret = format.generate("live");
    const [credential, isWellFormed] = [
      [`Bearer ${secret}`, true],
      [`Bearer ${secret.slice(0, -1)}`, false],
      [`Bearer ${secret}, Bearer ${secret}`, false],
      [`Bearer ${format.generate("test")}`, false],
      ["Basic eDp5", false],
      [`Bearer ${"x".repeat(pick(4_000))}`, false],
    ][pick(6)] as [string, boolean];
    const sentAt = Date.now();
    const [status] = await send(pick(urls.length), "/vehicles", { headers: { authorization: credential } });
    const isOutage =
      isWellFormed &&
      status === 503 &&
      outages.some((outage) => Date.now() >= outage.startedAt && sentAt <= outage.endedAt + RECOVERY_MS);
    if (status !== 401 && !isOutage)
      addViolation(`invalid credential received ${status} (${isWellFormed ? "well-formed" : "malformed"})`);
  };

  const manage = async (process: number, name: string, path: string, method: string, body?: object) => {
    const headers = { authorization: `Bearer ${admin}`, "content-type": "application/json" };
    const [status, text] = await send(process, `/admin/api-keys${path}`, {
      method,
      headers,
      ...(body && { body: JSON.stringify(body) }),
    });
    changes[name] = (changes[name] ?? 0) + 1;
    if (status >= 500 || status === 0) lostResponses += 1;
    return { status, isLost: status >= 500 || status === 0, text };
  };

  const create = async (): Promise<void> => {
    const [writes, network] = [Math.random() < 0.5, Math.random() < 0.3 ? NETWORKS[0] : undefined];
    const { status, isLost, text } = await manage(pick(urls.length), "create", "", "POST", {
      scopes: [writes ? "vehicles:write" : "vehicles:read"],
      environment: "live",
      ...(network && { ipAllowlist: [network] }),
    });
    if (isLost) return;
    if (status !== 201) return addViolation(`create responded with ${status}: ${text}`);
    const { secret, key } = JSON.parse(text);
    live.push(newModelKey(key.id, secret, writes, network));
  };

  const stop = async (name: "revoke" | "disable" | "rotate"): Promise<void> => {
    const key = live.splice(pick(live.length), 1)[0];
    if (key === undefined) return;
    stopped.push(key);
    if (stopped.length > MAX_STOPPED) stopped.shift();
    const delay = name === "rotate" ? OVERLAP_SECONDS * 1_000 : 0;
    const process = pick(urls.length);
    key.stopSentAt = Date.now() + delay;
    const { status, isLost, text } =
      name === "revoke"
        ? await manage(process, name, `/${key.id}`, "DELETE")
        : await manage(
            process,
            name,
            `/${key.id}/${name}`,
            "POST",
            delay > 0 ? { overlap: `${OVERLAP_SECONDS}s` } : {},
          );
    if (isLost) {
      key.isUncertain = true;
      return;
    }
    if (status !== 200 && status !== 201) return addViolation(`${name} responded with ${status}: ${text}`);
    key.stoppedAt = Date.now() + delay;
    key.stoppedBy = process;
    if (name === "rotate") {
      const successor = JSON.parse(text);
      live.push(newModelKey(successor.key.id, successor.secret, key.writes, key.network));
    }
  };

  const step = async (): Promise<void> => {
    const random = Math.random();
    if (live.length < 20 || (random < 0.04 && live.length < MAX_KEYS)) return create();
    if (random < 0.06) return stop("revoke");
    if (random < 0.07) return stop("disable");
    if (random < 0.09) return stop("rotate");
    if (random < 0.19) return sendInvalid();
    const from = random < 0.4 && stopped.length > 0 ? stopped : live;
    return sendRequest(from[pick(from.length)] as ModelKey);
  };

  return {
    async run(clients, end) {
      const client = async () => {
        while (Date.now() < end) {
          await step();
          await sleep(pick(10));
        }
      };
      await Promise.all(Array.from({ length: clients }, client));
    },
    counts: () => ({ requests, byStatus, changes, lostResponses, violations }),
  };
}

function newModelKey(id: string, secret: string, writes: boolean, network: string | undefined): ModelKey {
  return {
    id,
    secret,
    writes,
    network,
    stopSentAt: Number.POSITIVE_INFINITY,
    stoppedAt: Number.POSITIVE_INFINITY,
    stoppedBy: -1,
    isUncertain: false,
  };
}

function pick(count: number): number {
  return Math.floor(Math.random() * count);
}
