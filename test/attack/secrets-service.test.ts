import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { Writable } from "node:stream";
import { inspect } from "node:util";
import Fastify from "fastify";
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { fastifyAuth, fastifyHandler } from "../../src/adapters/fastify.js";
import {
  createKeyManager,
  createVerifier,
  hashSecret,
  type KeyEvent,
  type KeyStore,
} from "../../src/index.js";
import { anyVerifier, createTokenService } from "../../src/jwt/index.js";
import { createManagementApi } from "../../src/management/index.js";
import { auditLog, lastUsed } from "../../src/observers/index.js";
import { memoryStore } from "../../src/stores/memory.js";
import { format, scopes } from "../core/fixtures.js";
import { ecKey } from "../jwt/token-fixtures.js";
import type { Backend } from "../stores/backends/backend.js";
import { poolAt, postgresBackends } from "../stores/backends/postgres.js";
import { sqliteBackends } from "../stores/backends/sqlite.js";
import { LEAK } from "./world.js";

const PEPPER = "pepper-of-these-tests-0123456789abcdef";

/** The spellings in which a text could be found: as it is, and encoded, wherever in a larger text it stands. */
function spellingsOf(text: string): readonly string[] {
  const bytes = Buffer.from(text);
  const base64 = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString("base64")
      .slice(Math.ceil((shift * 8) / 6), -4),
  );
  const escaped = text.replace(/[^A-Za-z0-9]/g, (character) => `%${character.charCodeAt(0).toString(16)}`);
  return [
    text,
    ...base64,
    ...base64.map((each) => each.replaceAll("+", "-").replaceAll("/", "_")),
    bytes.toString("hex"),
    bytes.toString("hex").toUpperCase(),
    escaped,
    escaped.toUpperCase(),
  ];
}

/** Which of the hidden texts are found, by their names. */
function found(hidden: Readonly<Record<string, string>>, text: string): string[] {
  return Object.entries(hidden)
    .filter(([, value]) => spellingsOf(value).some((spelling) => text.includes(spelling)))
    .map(([name]) => name);
}

/** A thing in every form in which it is printed or sent. */
function printed(thing: unknown): string {
  const options = {
    depth: Number.POSITIVE_INFINITY,
    showHidden: true,
    getters: true,
    maxStringLength: null,
    maxArrayLength: null,
  };
  const forms = [inspect(thing, options), String(thing)];
  try {
    forms.push(JSON.stringify(thing) ?? "");
  } catch {
    // What has cycles is not sent.
  }
  if (thing instanceof Error) forms.push(thing.message, thing.stack ?? "", inspect(thing.cause, options));
  return forms.join("\n");
}

const lines: string[] = [];
beforeAll(() => {
  for (const level of ["log", "info", "warn", "error", "debug", "trace"] as const) {
    vi.spyOn(console, level).mockImplementation((...args) => void lines.push(printed(args)));
  }
  vi.spyOn(process, "emitWarning").mockImplementation((...args) => void lines.push(printed(args)));
});
afterAll(() => vi.restoreAllMocks());

test("the search finds what is there, in every spelling", () => {
  const canary = format.generate("live");
  for (const spelling of spellingsOf(canary)) {
    expect(found({ canary }, `before ${spelling} behind`), spelling).toEqual(["canary"]);
  }
  for (const prefix of ["", "a", "ab"]) {
    expect(found({ canary }, Buffer.from(`${prefix}${canary}.`).toString("base64"))).toEqual(["canary"]);
  }
  expect(found({ canary }, printed({ deep: { deeper: [new Error("x", { cause: canary })] } }))).toEqual([
    "canary",
  ]);
  expect(found({ canary }, printed(new Map([["a", canary]])))).toEqual(["canary"]);
  expect(found({ canary }, "nothing of the kind")).toEqual([]);
});

test("no secret, hash or pepper is in a log, an event, an error, an answer or a public object", async () => {
  const events: KeyEvent[] = [];
  const errors: unknown[] = [];
  const answers: string[] = [];
  const log = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  const store = memoryStore();
  const onError = (error: unknown) => {
    errors.push(error);
    app.log.error(error);
    app.log.error({ err: error }, "in a member");
  };
  const used = lastUsed(store, { onError });
  const audited = auditLog(store, { onError });
  const observers = [(event: KeyEvent) => events.push(event), used.observer, audited.observer];
  const manager = createKeyManager({ store, scopes, format, pepper: PEPPER, observers });
  const verifier = createVerifier({ store, scopes, format, pepper: PEPPER, observers });
  const signingKey = ecKey();
  const tokens = createTokenService({
    issuer: "https://a.test",
    audience: "https://a.test",
    signingKey,
    ttl: "5m",
    verifier,
    store,
    scopes,
    observers,
    onError,
  });
  const management = createManagementApi({
    manager,
    verifier,
    requires: { read: "vehicles:read", write: "vehicles:write" },
    basePath: "/manage",
    onError,
  });
  const { secret, key } = await manager.create({
    ownerId: "acme",
    environment: "live",
    scopes: ["vehicles:write"],
  });
  const revoked = await manager.create({ ownerId: "acme", environment: "live", scopes: ["vehicles:read"] });
  await manager.revoke(revoked.key.id);
  const rotated = await manager.rotate(
    (await manager.create({ ownerId: "acme", environment: "live", scopes: [] })).key.id,
    { overlap: "1h" },
  );
  const down: KeyStore = {
    findByHash: (hash) => Promise.reject(Object.assign(new Error(`${LEAK} ${hash}`), { parameters: [hash] })),
  };
  const broken = createVerifier({ store: down, scopes, format, pepper: PEPPER, observers });

  const app = Fastify({ logger: { level: "trace", stream: log } });
  const auth = fastifyAuth(anyVerifier(verifier, tokens.verifier), { onError });
  const failing = fastifyAuth(broken, { onError });
  await app.register(auth.plugin);
  app.get("/vehicles", { onRequest: auth("vehicles:read") }, async (request) => {
    request.log.trace({ auth: request.auth }, inspect(request.auth, { depth: 9, showHidden: true }));
    return request.auth;
  });
  app.get("/down", { onRequest: failing() }, async () => "of the route");
  await app.register(fastifyHandler(management), { prefix: "/manage" });
  await app.register(fastifyHandler(tokens.handler));

  const unknown = format.generate("live");
  const wrong = `${secret.slice(0, -6)}000000`;
  const issued = await app.inject({
    method: "POST",
    url: "/token",
    headers: { authorization: `Bearer ${secret}`, "content-type": "application/x-www-form-urlencoded" },
    payload: "grant_type=client_credentials",
  });
  expect(issued.statusCode).toBe(200);
  const token: string = issued.json().access_token;
  const forged = `${token.slice(0, -8)}AAAAAAAA`;
  const credentials = [
    secret,
    revoked.secret,
    rotated.secret,
    unknown,
    wrong,
    token,
    forged,
    `${secret}, ${secret}`,
    `"${secret}"`,
  ];
  const targets = [
    ["GET", "/vehicles"],
    ["GET", "/down"],
    ["GET", "/manage/api-keys"],
    ["GET", `/manage/api-keys/${key.id}`],
    ["GET", "/manage/me"],
    ["GET", `/manage/api-keys/${key.id}/audit`],
    ["POST", "/introspect"],
    ["POST", "/manage/api-keys"],
  ] as const;
  for (const credential of credentials) {
    for (const [method, url] of targets) {
      const form =
        url === "/introspect"
          ? { "content-type": "application/x-www-form-urlencoded" }
          : { "content-type": "application/json" };
      const payload =
        url === "/introspect" ? `token=${token}` : JSON.stringify({ name: credential, unknown: credential });
      const response = await app.inject({
        method,
        url,
        headers: { authorization: `Bearer ${credential}`, ...(method === "POST" && form) },
        ...(method === "POST" && { payload }),
      });
      answers.push(`${response.statusCode} ${JSON.stringify(response.headers)} ${response.body}`);
    }
  }
  await Promise.all([used.close(), audited.close(), app.close()]);
  expect(errors.length).toBeGreaterThan(0);
  expect(lines.length).toBeGreaterThan(50);
  expect(events.some(({ type }) => type === "auth.allowed")).toBe(true);

  const hidden = {
    ...Object.fromEntries(credentials.slice(0, 7).map((text, index) => [`credential ${index}`, text])),
    pepper: PEPPER,
    ...Object.fromEntries(
      [secret, revoked.secret, rotated.secret, unknown].map((text, index) => [
        `hash ${index}`,
        hashSecret(text, PEPPER),
      ]),
    ),
    "private key": signingKey.export({ format: "jwk" }).d as string,
  };
  const result = await verifier.verify({ headers: { authorization: `Bearer ${secret}` } }, "vehicles:read");
  const objects = {
    verifier,
    manager,
    store,
    format,
    scopes,
    tokens,
    management,
    auth,
    used,
    audited,
    key,
    page: await manager.list({}),
    result,
  };
  for (const [name, object] of Object.entries(objects))
    expect(found(hidden, printed(object)), name).toEqual([]);
  for (const error of errors) expect(found(hidden, printed(error))).toEqual([]);
  expect(found(hidden, printed(events))).toEqual([]);
  expect(found(hidden, lines.join("\n"))).toEqual([]);
  expect(found(hidden, answers.join("\n"))).toEqual([]);
  expect(lines.join("\n")).not.toContain("hunter2");
});

/** Everything that a store has written, in bytes. */
const dumps: Readonly<Record<string, (place: string) => Promise<string>>> = {
  async sqlite(place) {
    const files = readdirSync(dirname(place)).filter((name) => name.startsWith(basename(place)));
    return files.map((name) => readFileSync(join(dirname(place), name), "latin1")).join("\n");
  },
  async postgres(place) {
    const { url, table } = JSON.parse(place);
    const pool = poolAt(url, { max: 1 });
    const rows = await Promise.all(
      [table, `${table}_audit`].map((name) => pool.query(`select * from "${name}"`)),
    );
    await pool.end();
    return JSON.stringify(rows.map((result) => result.rows));
  },
};

const backends: readonly (readonly [string, Backend, keyof typeof dumps])[] = [
  ...sqliteBackends().map((backend) => [backend.name, backend, "sqlite"] as const),
  ...postgresBackends(inject("servers").postgres)
    .slice(0, 1)
    .map((backend) => [backend.name, backend, "postgres"] as const),
];

describe.each(backends)("%s", (_name, backend, kind) => {
  test.skipIf(backend.missing !== undefined)("writes no secret and no pepper down", async () => {
    const { store, place, close } = await backend.create();
    const manager = createKeyManager({ store, scopes, format, pepper: PEPPER });
    const made = await manager.create({
      ownerId: "acme",
      environment: "live",
      scopes: ["vehicles:read"],
      name: "to be found",
    });
    const next = await manager.rotate(made.key.id, { overlap: "1h" });
    await manager.revoke(next.key.id, { reason: "leaked" });
    const dump = await (dumps[kind] as (place: string) => Promise<string>)(place);
    await close();
    await backend.drop(place);
    expect(found({ name: "to be found" }, dump)).toEqual(["name"]);
    const random = { made: made.secret.slice(13), next: next.secret.slice(13), pepper: PEPPER };
    expect(found(random, dump)).toEqual([]);
  });
});
