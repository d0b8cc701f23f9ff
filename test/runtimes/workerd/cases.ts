// Requests to the worker, and the responses that are expected.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { exportJWK, generateKeyPair, SignJWT } from "jose";

/** Sends a request such as `"GET /vehicles"` to the worker. */
export type Send = (
  line: string,
  options?: { bearer?: string; json?: unknown; headers?: object },
) => Promise<Reply>;

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: bodies of every shape
  readonly body: any;
}

export interface Case {
  readonly name: string;
  run(send: Send): Promise<void>;
}

const pair = await generateKeyPair("ES256", { extractable: true });
/** The public key of tokens from {@link sign}. */
export const jwk: string = JSON.stringify({ ...(await exportJWK(pair.publicKey)), alg: "ES256", kid: "k1" });

const sign = (claims: Record<string, unknown>, expires = "5m") =>
  new SignJWT({ scope: "vehicles:read", ...claims })
    .setProtectedHeader({ alg: "ES256", kid: "k1" })
    .setIssuer("https://login.example/")
    .setAudience("api")
    .setSubject("ann")
    .setIssuedAt()
    .setExpirationTime(expires)
    .sign(pair.privateKey);

async function issue(send: Send, change: object = {}): Promise<{ secret: string; key: { id: string } }> {
  const json = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live", ...change };
  const { status, body } = await send("POST /issue", { json });
  equal(status, 201);
  return body;
}

async function expectDenied(response: Promise<Reply>, status: number, code: string): Promise<Reply> {
  const reply = await response;
  deepEqual([reply.status, reply.body.code], [status, code]);
  deepEqual(Object.keys(reply.body).slice(0, 3), ["message", "code", "requestId"]);
  equal(reply.headers.get("cache-control"), "no-store");
  equal(reply.headers.get("x-request-id"), reply.body.requestId);
  return reply;
}

export const cases: readonly Case[] = [
  {
    name: "allows a key and returns its owner",
    async run(send) {
      const { secret } = await issue(send);
      const { status, body } = await send("GET /vehicles", { bearer: secret });
      deepEqual([status, body], [200, { owner: "acme" }]);
    },
  },
  {
    name: "denies missing, malformed and unknown credentials",
    async run(send) {
      const missing = await expectDenied(send("GET /vehicles"), 401, "missing_credential");
      equal(missing.headers.get("www-authenticate"), 'Bearer realm="api"');
      for (const authorization of ["Bearer", "Bearer a b", "Bearer ä"].map(encodeURI)) {
        ok((await send("GET /vehicles", { headers: { authorization } })).status === 401);
      }
      await expectDenied(
        send("GET /vehicles", { headers: { authorization: "Bearer a, Bearer b" } }),
        401,
        "malformed_credential",
      );
      const { secret } = await issue(send);
      await expectDenied(send("GET /vehicles", { bearer: `${secret.slice(0, -1)}_` }), 401, "invalid_key");
      await expectDenied(send("GET /vehicles", { bearer: `${secret}a` }), 401, "invalid_key");
    },
  },
  {
    name: "denies another environment and a missing scope",
    async run(send) {
      const test = await issue(send, { environment: "test" });
      await expectDenied(send("GET /vehicles", { bearer: test.secret }), 401, "wrong_environment");
      const { secret } = await issue(send);
      const denial = await expectDenied(
        send("POST /vehicles", { bearer: secret, json: {} }),
        403,
        "insufficient_scope",
      );
      deepEqual(denial.body.missingScopes, ["vehicles:write"]);
      const writer = await issue(send, { scopes: ["vehicles:write"] });
      equal((await send("GET /vehicles", { bearer: writer.secret })).status, 200);
    },
  },
  {
    name: "enforces allowlists, also for an invalid and a missing address",
    async run(send) {
      const { secret } = await issue(send, { ipAllowlist: ["203.0.113.0/24", "2001:db8::/32"] });
      const from = (address: string) =>
        send("GET /vehicles", { bearer: secret, headers: { "cf-connecting-ip": address } });
      equal((await from("203.0.113.9")).status, 200);
      equal((await from("2001:db8::1")).status, 200);
      equal((await from("::ffff:203.0.113.9")).status, 200);
      await expectDenied(from("203.0.114.9"), 403, "ip_not_allowed");
      await expectDenied(from("203.0.113.09"), 403, "ip_not_allowed");
      await expectDenied(send("GET /vehicles", { bearer: secret }), 403, "ip_not_allowed");
    },
  },
  {
    name: "guards a Hono route",
    async run(send) {
      const writer = await issue(send, { scopes: ["vehicles:write"] });
      deepEqual((await send("GET /hono", { bearer: writer.secret })).body, { owner: "acme" });
      const { secret } = await issue(send);
      await expectDenied(send("GET /hono", { bearer: secret }), 403, "insufficient_scope");
      await expectDenied(send("GET /hono"), 401, "missing_credential");
    },
  },
  {
    name: "allows a valid JWT, and denies an expired and a modified one",
    async run(send) {
      const token = await sign({});
      equal((await send("GET /vehicles", { bearer: token })).status, 200);
      equal((await send("GET /vehicles", { bearer: token })).status, 200); // cached
      await expectDenied(send("GET /vehicles", { bearer: await sign({}, "-1m") }), 401, "invalid_key");
      const [head, payload, signature = ""] = token.split(".");
      const changed = `${head}.${payload}.${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`;
      await expectDenied(send("GET /vehicles", { bearer: changed }), 401, "invalid_key");
    },
  },
  {
    name: "creates, lists, rotates and revokes keys over HTTP",
    async run(send) {
      const { secret: admin } = await issue(send, { scopes: ["fleet:admin"], ownerId: "over-http" });
      const json = { scopes: ["vehicles:read"], environment: "live" };
      const created = await send("POST /admin/api-keys", { bearer: admin, json });
      equal(created.status, 201);
      const path = `/admin/api-keys/${created.body.key.id}`;
      equal((await send("GET /admin/api-keys", { bearer: admin })).body.items.length, 2);
      const rotated = await send(`POST ${path}/rotate`, { bearer: admin, json: { overlap: "0s" } });
      equal(rotated.status, 201);
      equal((await send("GET /vehicles", { bearer: rotated.body.secret })).status, 200);
      await expectDenied(send("GET /vehicles", { bearer: created.body.secret }), 401, "invalid_key");
      equal((await send(`DELETE /admin/api-keys/${rotated.body.key.id}`, { bearer: admin })).status, 200);
      await expectDenied(send("GET /vehicles", { bearer: rotated.body.secret }), 401, "invalid_key");
      match((await send("GET /admin/openapi.json")).body.openapi, /^3\.1/);
      equal((await send("POST /admin/api-keys", { bearer: admin, json: { scopes: [1] } })).status, 400);
    },
  },
];
