import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createKeyManager, createVerifier, keyFormat } from "keybearer";
import { createJwtVerifier } from "keybearer/jwt";
import { createTokenService } from "keybearer/oauth";
import { memoryStore } from "keybearer/stores/memory";
import type { ExampleOptions, RunningExample } from "../example.js";
import { identityProvider } from "../identity.js";
import { listen } from "../serve.js";
import { BASE, createApp } from "./app.js";
import { createIntegrations } from "./integrations.js";
import { COMPANIES, scopes } from "./partners.js";

/** A ClientKey: 32 hex digits (128 bits), without a prefix or a checksum. */
const format = keyFormat({ alphabet: "hex", length: 32, checksum: false });

export interface LegacyPartnerOptions extends ExampleOptions {
  /** Writes a line of the access log; to stderr by default. */
  readonly log?: (line: string) => void;
}

/** Starts the API with an admin in each of two companies. */
export async function start({
  port,
  log = console.error,
}: LegacyPartnerOptions = {}): Promise<RunningExample> {
  const store = memoryStore();
  const keys = createKeyManager({ store, scopes, format });
  const integrations = createIntegrations(keys, store);

  const identity = await identityProvider("legacy-partner-dashboard");
  const dashboard = createJwtVerifier({
    issuer: identity.issuer,
    audience: identity.audience,
    algorithms: identity.algorithms,
    key: identity.publicKey,
    scopes,
    realm: "dashboard",
    principal: ({ company_id: id }) =>
      COMPANIES.some((company) => company.id === id) ? { ownerId: String(id), scopes: [] } : undefined,
  });
  const tokens = createTokenService({
    issuer: "https://integration.example.com",
    audience: "partner-data",
    signingKey: generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey,
    ttl: "15m",
    verifier: createVerifier({ store: integrations.currentKeys, scopes, format, realm: "integration" }),
    store: integrations.currentKeys,
    revocations: "per-process",
    keyTtl: "0s", // deleted integrations and removed modules take effect at once
  });

  const app = createApp({ dashboard, tokens, integrations, log });
  const { url, stop } = await listen(createServer(app.callback()), port);
  const adminJwt = await identity.signIn("admin@acme.example", { company_id: 7 });
  const otherJwt = await identity.signIn("admin@borealis.example", { company_id: 8 });
  const dataPaths = {
    6: [`${BASE}/assets`, `${BASE}/assets/location`],
    7: [`${BASE}/waste/jobs`],
    8: [`${BASE}/assets/driversTimers`, `${BASE}/assets/currentWithTimers`],
  };

  return {
    credentials: {
      url,
      adminJwt,
      otherJwt,
      tokenPath: `${BASE}/auth`,
      dataPaths,
      features: { adminJwt: COMPANIES[0]?.features, otherJwt: COMPANIES[1]?.features },
    },
    guide: `
The legacy partner API, at ${url}${BASE}

# create an integration of FourKites (3) with location and cargo (6); the ClientKey is shown once
curl -i ${url}${BASE}/Integration -H "Content-Type: application/json" -d '{"integrator":3,"allowedData":[6]}' \\
  -H "Authorization: Bearer ${adminJwt}"

# exchange the ClientKey for a token, which is valid for 15 minutes, and read data with the token
curl -i ${url}${BASE}/auth -H "X-Client-Key: …"
curl -i "${url}${BASE}/assets?additionalInfo=true" -H "Authorization: Bearer …"
`,
    close: stop,
  };
}
