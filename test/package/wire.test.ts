import { describe, expect, test } from "vitest";
import { fetchAuth } from "../../src/adapters/fetch.js";
import { AUTH_ERROR_STATUS } from "../../src/core/errors.js";
import {
  createKeyManager,
  createVerifier,
  defineScopes,
  keyFormat,
  type RateLimiter,
} from "../../src/index.js";
import { createRateLimiter } from "../../src/rate-limit/index.js";
import { memoryStore } from "../../src/stores/memory.js";
import { textOf } from "./markdown.js";

const scopes = defineScopes({ "vehicles:read": {}, "drivers:read": {} });
const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
const store = memoryStore();
const manager = createKeyManager({ store, scopes, format });
const OF_EVERY_REFUSAL = ["cache-control", "content-length", "content-type", "x-request-id"];

async function secretOf(ipAllowlist: string[] | null = null, environment = "live"): Promise<string> {
  const { secret } = await manager.create({
    ownerId: "acme",
    environment,
    scopes: ["vehicles:read"],
    ipAllowlist,
  });
  return secret;
}

async function ask(authorization?: string, rateLimiter?: RateLimiter, broken = false): Promise<Response> {
  const answering = broken ? { findByHash: () => Promise.reject(new Error("down")) } : store;
  const options = { scopes, format, environment: "live", ...(rateLimiter && { rateLimiter }) };
  const auth = fetchAuth(createVerifier({ store: answering, ...options }), { onError() {} });
  const handler = auth(rateLimiter || broken ? "vehicles:read" : "drivers:read", () => new Response());
  const headers = { "x-request-id": "r-1", ...(authorization !== undefined && { authorization }) };
  const request = () => new Request("http://localhost/", { headers });
  if (rateLimiter) await handler(request());
  return handler(request());
}

const ANSWERS: Readonly<Record<keyof typeof AUTH_ERROR_STATUS, () => Promise<Response>>> = {
  missing_credential: () => ask(),
  malformed_credential: () => ask("Bearer"),
  invalid_key: () => ask(`Bearer ${format.generate("live")}`),
  wrong_environment: async () => ask(`Bearer ${await secretOf(null, "test")}`),
  ip_not_allowed: async () => ask(`Bearer ${await secretOf([])}`),
  insufficient_scope: async () => ask(`Bearer ${await secretOf()}`),
  rate_limited: async () => {
    const windows = [{ name: "minute", per: "key", limit: 1, windowSeconds: 60 }] as const;
    return ask(`Bearer ${await secretOf()}`, createRateLimiter({ windows }));
  },
  unavailable: async () => ask(`Bearer ${await secretOf()}`, undefined, true),
};

describe("docs/errors.md", () => {
  const entries = textOf("docs/errors.md").split(/^### /m).slice(1);

  test("has an entry for each code, and for nothing else", () => {
    const codes = entries.map((entry) => /^`(\w+)`/.exec(entry)?.[1]);
    expect(codes.sort()).toEqual(Object.keys(AUTH_ERROR_STATUS).sort());
  });

  test.each(Object.entries(ANSWERS))("shows the bytes of %s", async (code, answer) => {
    const response = await answer();
    const headers = [...response.headers].filter(([name]) => !OF_EVERY_REFUSAL.includes(name));
    const bytes = [...headers.map(([name, value]) => `${name}: ${value}`), await response.text(), ""].join(
      "\n",
    );
    const entry = entries.find((text) => text.startsWith(`\`${code}\``)) ?? "";
    // A window that began a moment ago, on a machine that is busy.
    const settled = bytes.replace(/(;t=|retry-after: )[1-5]\d\b/g, (_, before) => `${before}60`);
    expect(/^```\n(.*?)^```$/ms.exec(entry)?.[1]).toBe(settled);
    expect(entry).toContain(`\n\n${response.status}. `);
  });
});
