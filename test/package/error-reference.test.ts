import { describe, expect, it } from "vitest";
import { fetchAuth } from "../../src/adapters/fetch.js";
import {
  AUTH_ERROR_STATUS,
  defineScopes,
  keybearer,
  keyFormat,
  type VerifierOptions,
} from "../../src/index.js";
import { createTokenService } from "../../src/oauth/index.js";
import { createRateLimiter } from "../../src/rate-limit/index.js";
import { memoryStore } from "../../src/stores/memory.js";
import { ecKey, tokenProof } from "../unit/oauth/fixtures.js";
import { textOf } from "./markdown.js";

const scopes = defineScopes({ "vehicles:read": {}, "drivers:read": {} });
const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
const store = memoryStore();
const { keys } = keybearer({ store, scopes, format });
const COMMON_HEADERS = ["cache-control", "content-length", "content-type", "x-request-id"];

async function createSecret(ipAllowlist: string[] | null = null, environment: "live" | "test" = "live") {
  const { secret } = await keys.create({
    ownerId: "acme",
    environment,
    scopes: ["vehicles:read"],
    ipAllowlist,
  });
  return secret;
}

/** Sends requests to a guarded handler, and returns the last response. */
async function send(
  authorization?: string,
  { scope = "vehicles:read", requests = 1, ...more }: SendOptions = {},
): Promise<Response> {
  const { verifier } = keybearer({ store, scopes, format, environment: "live", lastUsed: false, ...more });
  const handler = fetchAuth(verifier, { onError() {} })(scope, () => new Response());
  const headers = { "x-request-id": "r-1", ...(authorization !== undefined && { authorization }) };
  let response = new Response();
  for (let sent = 0; sent < requests; sent++)
    response = await handler(new Request("http://localhost/", { headers }));
  return response;
}

interface SendOptions extends Partial<Pick<VerifierOptions, "rateLimiter">> {
  readonly store?: typeof store;
  readonly scope?: "vehicles:read" | "drivers:read";
  readonly requests?: number;
}

const DENIALS: Readonly<Record<keyof typeof AUTH_ERROR_STATUS, () => Promise<Response>>> = {
  missing_credential: () => send(),
  malformed_credential: () => send("Bearer"),
  invalid_key: () => send(`Bearer ${format.generate("live")}`),
  wrong_environment: async () => send(`Bearer ${await createSecret(null, "test")}`),
  ip_not_allowed: async () => send(`Bearer ${await createSecret([])}`),
  insufficient_scope: async () => send(`Bearer ${await createSecret()}`, { scope: "drivers:read" }),
  invalid_dpop_proof: async () => {
    const { verifier } = keybearer({ store, scopes, format, environment: "live", lastUsed: false });
    const tokens = createTokenService({
      issuer: "https://api.example.com",
      audience: "https://api.example.com",
      signingKey: ecKey(),
      ttl: "15m",
      verifier,
      store,
      revocations: "per-process",
      dpop: { replays: "per-process" },
    });
    const sent = {
      authorization: `Bearer ${await createSecret()}`,
      dpop: tokenProof({ claims: { iat: Date.now() / 1_000 } }),
    };
    const request = { headers: sent, method: "POST", path: "/token" };
    const result = await tokens.exchange({ request });
    if (!result.ok) throw result.error;
    const headers = { "x-request-id": "r-1", authorization: `DPoP ${result.accessToken}` };
    return fetchAuth(tokens.verifier)(() => new Response())(new Request("http://localhost/", { headers }));
  },
  rate_limited: async () => {
    const windows = [{ name: "minute", per: "key", limit: 1, window: "1m" }] as const;
    const rateLimiter = createRateLimiter({ windows });
    return send(`Bearer ${await createSecret()}`, { rateLimiter, requests: 2 });
  },
  unavailable: async () => {
    const failing = { ...store, findByHash: () => Promise.reject(new Error("down")) };
    return send(`Bearer ${await createSecret()}`, { store: failing });
  },
};

describe("docs/errors.md", () => {
  const entries = textOf("docs/errors.md").split(/^### /m).slice(1);

  it("has an entry for each code", () => {
    const codes = entries.map((entry) => /^`(\w+)`/.exec(entry)?.[1]);
    expect(codes.sort()).toEqual(Object.keys(AUTH_ERROR_STATUS).sort());
  });

  it.each(Object.entries(DENIALS))("shows the exact response of %s", async (code, respond) => {
    const response = await respond();
    const headers = [...response.headers].filter(([name]) => !COMMON_HEADERS.includes(name));
    const lines = [...headers.map(([name, value]) => `${name}: ${value}`), await response.text(), ""];
    const entry = entries.find((text) => text.startsWith(`\`${code}\``)) ?? "";
    // On a busy machine, a few seconds of the window may have passed.
    const text = lines.join("\n").replace(/(;t=|retry-after: )[1-5]\d\b/g, (_, name) => `${name}60`);
    expect(/^```\n(.*?)^```$/ms.exec(entry)?.[1]).toBe(text);
    expect(entry).toContain(`\n\n${response.status}. `);
  });
});
