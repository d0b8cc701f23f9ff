import type { ExampleOptions, RunningExample } from "../example.js";
import { identityProvider } from "../identity.js";
import { HOST } from "../serve.js";
import { createAccounts } from "./accounts.js";
import { createApp } from "./app.js";
import { createAuth, type Environment, type Limits } from "./auth.js";
import type { TrackyardScope } from "./scopes.js";
import { createRequestLog } from "./usage.js";

export interface TrackyardOptions extends ExampleOptions {
  /** The rate limits of each environment. */
  readonly limits?: Readonly<Record<Environment, Limits>>;
}

const LIMITS = { live: { perMinute: 120, perDay: 10_000 }, test: { perMinute: 60, perDay: 1_000 } };
const DAY = 86_400_000;

/** Starts the API with two accounts, users and keys. */
export async function start({ port = 0, limits = LIMITS }: TrackyardOptions = {}): Promise<RunningExample> {
  const identity = await identityProvider("trackyard");
  const adminJwt = await identity.signIn("mia@studio.example", { account: "studio", role: "admin" });
  const otherJwt = await identity.signIn("tom@hobby.example", { account: "hobby" });
  const requests = createRequestLog();
  const { verifier, management, keyPage, keysAt, close } = createAuth(identity, requests, limits);

  const issue = async (
    ownerId: string,
    name: string,
    scopes: readonly TrackyardScope[],
    environment: Environment = "live",
    daysAgo = 0,
  ) => {
    const keys = keysAt(() => new Date(Date.now() - daysAgo * DAY));
    return (await keys.create({ ownerId, name, scopes, environment })).secret;
  };
  const key = await issue("studio", "Production - Main App", ["admin"]);
  const otherKey = await issue("hobby", "Weekend project", ["read", "download", "keys:manage"]);
  const testKey = await issue("studio", "Staging", ["admin"], "test");
  const readOnlyKey = await issue("studio", "Dashboard", ["read"]);
  const downloadOnlyKey = await issue("studio", "Player", ["download"]);
  const oldKey = await issue("studio", "From last year", ["read"], "live", 100);

  const app = await createApp({
    verifier,
    management,
    keyPage,
    accounts: createAccounts(),
    requests,
    limits,
  });
  const url = await app.listen({ port, host: HOST });
  return {
    credentials: {
      url,
      key,
      otherKey,
      testKey,
      readOnlyKey,
      downloadOnlyKey,
      oldKey,
      adminJwt,
      otherJwt,
      keysPath: "/account/api-keys",
      confirm: "?confirm=true",
      paths: {
        read: "POST /search",
        download: "POST /download-track",
        tierFeature: "GET /reports",
        adminOnly: "GET /admin/accounts",
        usage: "GET /usage",
      },
    },
    guide: guide(url, key, readOnlyKey),
    async close() {
      await app.close();
      await close();
    },
  };
}

function guide(url: string, key: string, readOnlyKey: string): string {
  return `
Trackyard, music for videos, at ${url}.

# show a key and its account
curl -i ${url}/me -H 'Authorization: Bearer ${key}'

# a read-only key cannot download
curl -i ${url}/download-track -H 'Authorization: Bearer ${readOnlyKey}' \\
  -H 'Content-Type: application/json' -d '{"track_id":"trk_abc123"}'

# list the keys of the account; DELETE ${url}/account/api-keys/ID?confirm=true revokes one
curl -i ${url}/account/api-keys -H 'Authorization: Bearer ${key}'`;
}
