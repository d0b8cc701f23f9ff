// A process of signing-keys.test.ts: a token service over a table of PostgreSQL with the state of its signing keys.
// Receives one command a line and prints one result a line.

import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { createKeyManager, createVerifier } from "../../../src/index.js";
import { createTokenService, type SigningKeyStore } from "../../../src/oauth/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { bearer, format, scopes } from "../../unit/core/fixtures.js";

interface Setup {
  readonly url: string;
  readonly table: string;
  readonly secret: string;
  readonly signingKey: readonly { readonly kid: string; readonly key: string }[];
  readonly heartbeat: "1s";
}

const { url, table, secret, signingKey, heartbeat }: Setup = JSON.parse(process.env.SETUP ?? "{}");
const pool = new pg.Pool({ connectionString: url, max: 2 });
pool.on("error", () => {});

const signingKeyStore: SigningKeyStore = {
  read: async () => (await pool.query(`SELECT state FROM ${table}`)).rows[0]?.state,
  replace: async (expected, next) => {
    const { rowCount } =
      expected === undefined
        ? await pool.query(`INSERT INTO ${table} (id, state) VALUES (1, $1) ON CONFLICT DO NOTHING`, [next])
        : await pool.query(`UPDATE ${table} SET state = $1 WHERE state = $2`, [next, expected]);
    return rowCount === 1;
  },
};

const store = memoryStore();
const manager = createKeyManager({ store, scopes, format });
await manager.import({ secret, ownerId: "acme", environment: "live", scopes: ["vehicles:read"] });
const tokens = createTokenService({
  issuer: "https://api.example.com",
  audience: "https://api.example.com",
  signingKey,
  signingKeyStore,
  signingKeyHeartbeat: heartbeat,
  ttl: "15m",
  verifier: createVerifier({ store, scopes, format, storeTimeout: "1s" }),
  store,
  revocations: "per-process",
});

const commands = {
  async issue(): Promise<string> {
    const result = await tokens.exchange({ request: bearer(secret) });
    if (!result.ok) throw result.error;
    return result.accessToken;
  },
  /** Returns the code of the denial, or `"ok"`. */
  async verify(token: string): Promise<string> {
    const result = await tokens.verifier.verify(bearer(token));
    return result.ok ? "ok" : result.error.code;
  },
  /** Verifies until the token is denied. Returns when the last accepted verification began, in nanoseconds. */
  async verifyUntilDenied(token: string): Promise<{ readonly last: string; readonly code: string }> {
    let last = "0";
    for (;;) {
      const began = process.hrtime.bigint();
      const code = await commands.verify(token);
      if (code !== "ok") return { last, code };
      last = String(began);
      await sleep(1);
    }
  },
  /** Returns when the rotation returned, in nanoseconds. */
  async rotate(kid: string, overlap?: "0s"): Promise<string> {
    const key = signingKey.find((one) => one.kid === kid);
    if (key === undefined) throw new Error("no such key");
    await tokens.rotateSigningKey(key, overlap === undefined ? {} : { overlap });
    return String(process.hrtime.bigint());
  },
  async retire(kid: string): Promise<string> {
    await tokens.retireSigningKey(kid);
    return String(process.hrtime.bigint());
  },
  async published(): Promise<unknown> {
    const response = await tokens.keys(new Request("http://localhost/.well-known/jwks.json"));
    const { keys } = (await response.json()) as { keys?: readonly { kid: string }[] };
    return keys?.map(({ kid }) => kid) ?? response.status;
  },
};

process.stdout.write('"ready"\n');
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...args] = JSON.parse(line) as [keyof typeof commands, ...string[]];
  const command = commands[name] as (...args: string[]) => Promise<unknown>;
  const result = await command(...args).catch((error: Error) => ({ error: error.name }));
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
process.exit();
