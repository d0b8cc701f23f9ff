import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createKeyManager, createVerifier, keyFormat } from "keybearer";
import { createJwtVerifier } from "keybearer/jwt";
import { createTokenService } from "keybearer/oauth";
import { memoryStore } from "keybearer/stores/memory";
import type { ExampleOptions, RunningExample } from "../example.js";
import { identityProvider } from "../identity.js";
import { listen } from "../serve.js";
import { BASE, koaApp } from "./app.js";
import { createIntegrations } from "./integrations.js";
import { COMPANIES, scopes } from "./partners.js";

/** A bare ClientKey: 32 hex digits, which are 128 bits, without a prefix or a checksum. */
const format = keyFormat({ alphabet: "hex", length: 32, checksum: false });

export interface LegacyPartnerOptions extends ExampleOptions {
  /** Where the access log goes; to stderr by default. */
  readonly log?: (line: string) => void;
}

export async function start({
  port,
  log = console.error,
}: LegacyPartnerOptions = {}): Promise<RunningExample> {
  const store = memoryStore();
  const manager = createKeyManager({ store, scopes, format });
  const integrations = createIntegrations(manager, store);

  const people = await identityProvider("legacy-partner-dashboard");
  const dashboard = createJwtVerifier({
    issuer: people.issuer,
    audience: people.audience,
    algorithms: people.algorithms,
    key: people.publicKey,
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
    scopes,
    realm: "integration",
    verifier: createVerifier({ store: integrations.current, scopes, format, realm: "integration" }),
    store: integrations.current,
    keyTtl: "0s", // a deleted integration, or a module taken away, is out at once
  });

  const app = koaApp({ dashboard, tokens, integrations, log });
  const { url, stop } = await listen(createServer(app.callback()), port);
  const adminJwt = await people.signIn("admin@acme.example", { company_id: 7 });
  const otherJwt = await people.signIn("admin@borealis.example", { company_id: 8 });
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
The legacy partner API answers on ${url}${BASE}

# A person of the dashboard gives FourKites (3) location and cargo (6); the answer has the ClientKey, once:
curl -i ${url}${BASE}/Integration -H "Content-Type: application/json" -d '{"integrator":3,"allowedData":[6]}' \\
  -H "Authorization: Bearer ${adminJwt}"

# The partner exchanges it for a token of 15 minutes, and reads with that:
curl -i ${url}${BASE}/auth -H "X-Client-Key: …"
curl -i "${url}${BASE}/assets?additionalInfo=true" -H "Authorization: Bearer …"
`,
    close: stop,
  };
}
