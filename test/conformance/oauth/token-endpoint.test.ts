import { decodeJwt } from "jose";
import { afterEach, describe, expect, it, vi } from "vitest";
import { AuthError } from "../../../src/index.js";
import { allowed, bearer } from "../../unit/core/fixtures.js";
import {
  ACCESS_TOKEN,
  basicOf,
  EXCHANGE,
  exchanger,
  type Form,
  JWT_TYPE,
  post,
  type Reply,
  type Sent,
  wrapped,
} from "../../unit/oauth/fixtures.js";

const GRANT = { grant_type: "client_credentials" };
const MEMBERS = ["error", "error_description", "code", "message", "requestId"];

/** RFC 6749, 5.2 */
function expectError({ status, headers, body }: Reply, error: string, expected: number, code: string): void {
  expect([status, body.error, body.code]).toEqual([expected, error, code]);
  expect(Object.keys(body).sort()).toEqual([...MEMBERS].sort());
  expect(body.error_description).toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/);
  expect(headers.get("cache-control")).toBe("no-store");
  expect(headers.get("pragma")).toBe("no-cache");
  expect(headers.get("content-type")).toBe("application/json");
  expect(headers.get("x-request-id")).toBe(body.requestId);
  expect(headers.has("www-authenticate")).toBe(expected === 401);
}

describe("POST /token", () => {
  const ways: Record<string, (secret: string, id: string) => Sent> = {
    "as Bearer": (secret) => ({ bearer: secret, form: GRANT }),
    "as Bearer, with its id": (secret, id) => ({ bearer: secret, form: { ...GRANT, client_id: id } }),
    "by Basic": (secret, id) => ({ basic: [id, secret], form: GRANT }),
    "by Basic, with its id again": (secret, id) => ({
      basic: [id, secret],
      form: { ...GRANT, client_id: id },
    }),
    "by Basic in another case": (secret, id) => ({
      headers: { authorization: basicOf(id, secret).replace("Basic", "bAsIC ") },
      form: GRANT,
    }),
    "by Basic, fully percent-encoded": (secret, id) => {
      const encode = (text: string) => text.replace(/./g, (c) => `%${c.charCodeAt(0).toString(16)}`);
      const value = Buffer.from(`${encode(id)}:${encode(secret)}`).toString("base64");
      return { headers: { authorization: `Basic ${value}` }, form: GRANT };
    },
    "in the form": (secret, id) => ({ form: { ...GRANT, client_id: id, client_secret: secret } }),
  };

  it.each(Object.keys(ways))("issues a token for a key sent %s (RFC 6749, 4.4 and 5.1)", async (way) => {
    const { tokens, issue } = exchanger();
    const { secret, key } = await issue();
    const { status, headers, body } = await post(tokens, "/token", ways[way]?.(secret, key.id));
    expect([status, Object.keys(body)]).toEqual([200, ["access_token", "token_type", "expires_in", "scope"]]);
    expect(body).toMatchObject({ token_type: "Bearer", expires_in: 900, scope: "vehicles:write" });
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("pragma")).toBe("no-cache");
    expect(headers.get("content-type")).toBe("application/json");
    const principal = allowed(await tokens.verifier.verify(bearer(String(body.access_token))));
    expect(principal.id).toBe(key.id);
  });

  it.each([
    [undefined, ACCESS_TOKEN],
    [ACCESS_TOKEN, ACCESS_TOKEN],
    [JWT_TYPE, JWT_TYPE],
  ])("exchanges a key with the requested_token_type %s (RFC 8693, 2.2.1)", async (requested, issued) => {
    const { tokens, issue } = exchanger();
    const { secret, key } = await issue();
    const { status, body } = await post(tokens, "/token", {
      form: {
        grant_type: EXCHANGE,
        subject_token: secret,
        subject_token_type: ACCESS_TOKEN,
        scope: "vehicles:read",
        client_id: key.id,
        ...(requested && { requested_token_type: requested }),
      },
    });
    expect([status, body.issued_token_type, body.token_type, body.scope]).toEqual([
      200,
      issued,
      "Bearer",
      "vehicles:read",
    ]);
    expect(decodeJwt(String(body.access_token)).scope).toBe("vehicles:read");
  });

  it("accepts the key of a service with another header in every way, and only once", async () => {
    const { tokens, issue } = exchanger({}, { credential: { header: "X-API-Key" } });
    const { secret, key } = await issue();
    const inHeader = { headers: { "x-api-key": secret }, form: GRANT };
    const subject = { grant_type: EXCHANGE, subject_token: secret, subject_token_type: ACCESS_TOKEN };
    const basic = [key.id, secret] as const;
    const inForm = { ...GRANT, client_id: key.id, client_secret: secret };
    for (const sent of [inHeader, { basic, form: GRANT }, { form: inForm }, { form: subject }]) {
      expect((await post(tokens, "/token", sent)).status).toBe(200);
    }
    for (const sent of [
      { ...inHeader, basic },
      { ...inHeader, form: inForm },
      { ...inHeader, bearer: secret },
    ]) {
      expectError(await post(tokens, "/token", sent), "invalid_request", 400, "invalid_request");
    }
    expect((await post(tokens, "/token", { bearer: secret, form: GRANT })).status).toBe(401);
  });

  it.each<[string, (secret: string, id: string) => Sent]>([
    ["Bearer", (bearer) => ({ bearer })],
    ["Basic", (secret, id) => ({ basic: [id, secret] })],
    ["the form", (client_secret, client_id) => ({ form: { client_id, client_secret } })],
  ])("exchanges a subject token of a client that authenticates with %s (RFC 8693, 2.1)", async (_, sent) => {
    const { tokens, issue, events } = exchanger();
    const [client, subject] = [await issue({ scopes: ["fleet:admin"] }), await issue({ ownerId: "other" })];
    for (const { secret, key } of [client, subject]) {
      events.length = 0;
      const { form, ...credential } = sent(client.secret, client.key.id);
      const exchanged = { grant_type: EXCHANGE, subject_token: secret, subject_token_type: ACCESS_TOKEN };
      const { status, body } = await post(tokens, "/token", {
        ...credential,
        form: { ...exchanged, ...(form as object) },
      });
      expect(status).toBe(200);
      const claims = decodeJwt(String(body.access_token));
      expect(claims).toMatchObject({
        key_id: key.id,
        sub: key.id,
        owner_id: key.ownerId,
        client_id: client.key.id,
      });
      expect(body.scope).toBe(key.scopes.join(" "));
      expect(events).toHaveLength(key === client.key ? 1 : 2); // one key is verified and counted once
    }
  });

  it("issues tokens for the requested audiences; ignores empty and unknown parameters", async () => {
    const { tokens, issue } = exchanger({
      audience: "https://a.example",
      otherAudiences: ["https://b.example", "c"],
    });
    const { secret } = await issue();
    const audOf = async (...more: (readonly [string, string])[]) => {
      const form = [...Object.entries(GRANT), ...more] as const;
      return decodeJwt(String((await post(tokens, "/token", { bearer: secret, form })).body.access_token))
        .aud;
    };
    expect(await audOf(["scope", ""], ["audience", ""], ["client_secret", ""], ["unknown", "x"])).toBe(
      "https://a.example",
    );
    expect(await audOf(["audience", "c"])).toBe("c");
    expect(await audOf(["resource", "https://a.example"], ["audience", "c"])).toEqual([
      "https://a.example",
      "c",
    ]);
    expect(await audOf(["audience", "c"], ["audience", "https://b.example"])).toEqual([
      "https://b.example",
      "c",
    ]);
  });

  it("forwards the headers of the verifier", async () => {
    const state = { name: "day", limit: 9, windowSeconds: 60, remaining: 8, resetSeconds: 60 };
    const rateLimiter = { consume: () => ({ allowed: true, states: [state] }) };
    const { tokens, issue } = exchanger({}, { rateLimiter });
    const { secret } = await issue({ expiresAt: "2030-01-02T00:00:00Z" });
    const { status, headers } = await post(tokens, "/token", { bearer: secret, form: GRANT });
    expect([status, headers.get("ratelimit")]).toEqual([200, '"day";r=8;t=60']);
    expect(headers.get("api-key-notice")).toBeTruthy();
  });
});

describe("errors of POST /token", () => {
  const EXCHANGED = { grant_type: EXCHANGE, subject_token_type: ACCESS_TOKEN };
  type Case = [
    name: string,
    sent: (secret: string, id: string) => Sent,
    error: string,
    status: number,
    code?: string,
  ];
  const twice = (name: string, value = "x"): Form => [...Object.entries(GRANT), [name, value], [name, value]];

  it.each<Case>([
    ["no grant_type", (bearer) => ({ bearer }), "invalid_request", 400],
    ["an empty grant_type", (bearer) => ({ bearer, form: { grant_type: "" } }), "invalid_request", 400],
    [
      "an unsupported grant",
      (bearer) => ({ bearer, form: { grant_type: "password" } }),
      "unsupported_grant_type",
      400,
    ],
    [
      "a grant in upper case",
      (bearer) => ({ bearer, form: { grant_type: "CLIENT_CREDENTIALS" } }),
      "unsupported_grant_type",
      400,
    ],
    ["no credential", () => ({ form: GRANT }), "invalid_client", 401, "missing_credential"],
    [
      "another scheme",
      () => ({ form: GRANT, headers: { authorization: "Digest x" } }),
      "invalid_client",
      401,
      "missing_credential",
    ],
    [
      "an empty header",
      () => ({ form: GRANT, headers: { authorization: "" } }),
      "invalid_client",
      401,
      "malformed_credential",
    ],
    [
      "an unknown key",
      (secret) => ({ bearer: `${secret}0`, form: GRANT }),
      "invalid_client",
      401,
      "invalid_key",
    ],
    [
      "an assertion",
      () => ({ form: { ...GRANT, client_assertion: "x" } }),
      "invalid_client",
      401,
      "missing_credential",
    ],
    [
      "another client_id",
      (bearer) => ({ bearer, form: { ...GRANT, client_id: "key_other" } }),
      "invalid_client",
      401,
      "invalid_client",
    ],
    [
      "another client_id in Basic",
      (secret) => ({ basic: ["key_other", secret], form: GRANT }),
      "invalid_client",
      401,
      "invalid_client",
    ],
    [
      "a client_id that differs from Basic",
      (secret, id) => ({ basic: [id, secret], form: { ...GRANT, client_id: "x" } }),
      "invalid_client",
      401,
      "invalid_client",
    ],
    [
      "no client_id in Basic",
      (secret) => ({ basic: ["", secret], form: GRANT }),
      "invalid_client",
      401,
      "invalid_client",
    ],
    [
      "no secret in Basic",
      (_, id) => ({ basic: [id, ""], form: GRANT }),
      "invalid_client",
      401,
      "malformed_credential",
    ],
    [
      "the wrong secret in the form",
      (_, id) => ({ form: { ...GRANT, client_id: id, client_secret: "wrong" } }),
      "invalid_client",
      401,
      "invalid_key",
    ],
    [
      "no client_id in the form",
      (secret) => ({ form: { ...GRANT, client_secret: secret } }),
      "invalid_request",
      400,
    ],
    [
      "Bearer and the form",
      (bearer, id) => ({ bearer, form: { ...GRANT, client_id: id, client_secret: bearer } }),
      "invalid_request",
      400,
    ],
    [
      "Basic and the form",
      (secret, id) => ({ basic: [id, secret], form: { ...GRANT, client_id: id, client_secret: secret } }),
      "invalid_request",
      400,
    ],
    [
      "another scheme and the form",
      (secret, id) => ({
        headers: { authorization: "Digest x" },
        form: { ...GRANT, client_id: id, client_secret: secret },
      }),
      "invalid_request",
      400,
    ],
    [
      "Bearer and an assertion",
      (bearer) => ({ bearer, form: { ...GRANT, client_assertion: "x" } }),
      "invalid_request",
      400,
    ],
    [
      "a subject_token with another grant",
      (secret) => ({ form: { ...GRANT, subject_token: secret } }),
      "invalid_request",
      400,
    ],
    ["no subject_token", (bearer) => ({ bearer, form: EXCHANGED }), "invalid_request", 400],
    [
      "no subject_token_type",
      (secret) => ({ form: { grant_type: EXCHANGE, subject_token: secret } }),
      "invalid_request",
      400,
    ],
    [
      "an unsupported subject_token_type",
      (secret) => ({ form: { ...EXCHANGED, subject_token: secret, subject_token_type: JWT_TYPE } }),
      "invalid_request",
      400,
    ],
    [
      "an unsupported requested_token_type",
      (secret) => ({
        form: {
          ...EXCHANGED,
          subject_token: secret,
          requested_token_type: "urn:ietf:params:oauth:token-type:saml2",
        },
      }),
      "invalid_request",
      400,
    ],
    [
      "an actor_token",
      (secret) => ({ form: { ...EXCHANGED, subject_token: secret, actor_token: secret } }),
      "invalid_request",
      400,
    ],
    [
      "an actor_token_type",
      (secret) => ({ form: { ...EXCHANGED, subject_token: secret, actor_token_type: JWT_TYPE } }),
      "invalid_request",
      400,
    ],
    [
      "an unknown subject_token",
      () => ({ form: { ...EXCHANGED, subject_token: "wrong" } }),
      "invalid_request",
      400,
      "invalid_key",
    ],
    [
      "an unknown subject_token of an authenticated client",
      (bearer) => ({ bearer, form: { ...EXCHANGED, subject_token: "wrong" } }),
      "invalid_request",
      400,
      "invalid_key",
    ],
    [
      "an unauthenticated client with a valid subject_token",
      (secret) => ({ bearer: `${secret}0`, form: { ...EXCHANGED, subject_token: secret } }),
      "invalid_client",
      401,
      "invalid_key",
    ],
    [
      "Basic, the form and a subject_token",
      (secret, id) => ({
        basic: [id, secret],
        form: { ...EXCHANGED, subject_token: secret, client_id: id, client_secret: secret },
      }),
      "invalid_request",
      400,
    ],
    [
      "the subject_token of another client",
      (secret) => ({ form: { ...EXCHANGED, subject_token: secret, client_id: "x" } }),
      "invalid_client",
      401,
      "invalid_client",
    ],
    [
      "another audience",
      (bearer) => ({ bearer, form: { ...GRANT, audience: "https://evil.example" } }),
      "invalid_target",
      400,
    ],
    [
      "another resource",
      (bearer) => ({ bearer, form: { ...GRANT, resource: "https://evil.example" } }),
      "invalid_target",
      400,
    ],
    [
      "a scope that the key lacks",
      (bearer) => ({ bearer, form: { ...GRANT, scope: "drivers:read" } }),
      "invalid_scope",
      400,
    ],
    [
      "an undefined scope",
      (bearer) => ({ bearer, form: { ...GRANT, scope: "vehicles:read root" } }),
      "invalid_scope",
      400,
    ],
    [
      "a repeated scope",
      (bearer) => ({ bearer, form: twice("scope", "vehicles:read") }),
      "invalid_request",
      400,
    ],
    [
      "a repeated grant_type",
      (bearer) => ({ bearer, form: [...Object.entries(GRANT), ...Object.entries(GRANT)] }),
      "invalid_request",
      400,
    ],
    [
      "a repeated client_secret",
      (secret) => ({ form: twice("client_secret", secret) }),
      "invalid_request",
      400,
    ],
    ["a repeated unknown parameter", (bearer) => ({ bearer, form: twice("foo") }), "invalid_request", 400],
    ["a repeated __proto__", (bearer) => ({ bearer, form: twice("__proto__") }), "invalid_request", 400],
    [
      "a repeated scope with one empty value",
      (bearer) => ({ bearer, form: "grant_type=client_credentials&scope=&scope=vehicles:read" }),
      "invalid_request",
      400,
    ],
    [
      "JSON",
      (bearer) => ({ bearer, form: JSON.stringify(GRANT), headers: { "content-type": "application/json" } }),
      "invalid_request",
      415,
      "unsupported_media_type",
    ],
    [
      "a multipart form",
      (bearer) => ({ bearer, headers: { "content-type": "multipart/form-data; boundary=x" } }),
      "invalid_request",
      415,
      "unsupported_media_type",
    ],
    [
      "another charset",
      (bearer) => ({
        bearer,
        headers: { "content-type": "application/x-www-form-urlencoded; charset=latin1" },
      }),
      "invalid_request",
      415,
      "unsupported_media_type",
    ],
    [
      "a compressed form",
      (bearer) => ({ bearer, headers: { "content-encoding": "gzip" } }),
      "invalid_request",
      415,
      "unsupported_media_type",
    ],
    [
      "a body of 65 KiB",
      (bearer) => ({ bearer, form: { ...GRANT, pad: "x".repeat(65 * 1024) } }),
      "invalid_request",
      413,
      "body_too_large",
    ],
    [
      "20,000 parameters",
      (bearer) => ({ bearer, form: `${"a&".repeat(20_000)}grant_type=client_credentials` }),
      "invalid_request",
      400,
    ],
    ["an empty body", () => ({ form: "" }), "invalid_request", 400],
  ])("rejects %s", async (_, sent, error, status, code = error) => {
    const { tokens, issue } = exchanger();
    const { secret, key } = await issue();
    const reply = await post(tokens, "/token", sent(secret, key.id));
    expectError(reply, error, status, code);
    expect(reply.text).not.toContain(secret);
  });

  const raw = (bytes: string | Buffer) => `Basic ${Buffer.from(bytes).toString("base64")}`;
  it.each<[string, (secret: string, id: string) => string]>([
    ["no colon", (secret) => raw(secret)],
    ["no value", () => "Basic"],
    ["only white space", () => "Basic  "],
    ["only a colon", () => raw(":")],
    ["a colon in the secret", (secret, id) => raw(`${id}:${secret}:x`)],
    ["a leading colon", (secret, id) => raw(`:${id}:${secret}`)],
    ["an incomplete percent escape", (secret, id) => raw(`${id}:${secret}%`)],
    ["an invalid percent escape", (secret, id) => raw(`${id}:${secret}%zz`)],
    ["percent escapes that are not UTF-8", (secret, id) => raw(`${id}:${secret}%ff%fe`)],
    [
      "bytes that are not UTF-8",
      (secret, id) => raw(Buffer.concat([Buffer.from(`${id}:${secret}`), Buffer.from([0xff])])),
    ],
    ["UTF-8 in the secret", (secret, id) => raw(`${id}:${secret}é`)],
    ["UTF-8 in the client_id", (secret, id) => raw(`${id}é:${secret}`)],
    ["a byte order mark", (secret, id) => raw(`\ufeff${id}:${secret}`)],
    ["CRLF after the secret", (secret, id) => raw(`${id}:${secret}\r\nX-Evil: 1`)],
    ["encoded CRLF", (secret, id) => raw(`${id}:${secret}%0d%0a`)],
    ["a space before the secret", (secret, id) => raw(`${id}:+${secret}`)],
    ["NUL", (secret, id) => raw(`${id}:${secret}\0`)],
    ["a second credential inside", (secret, id) => raw(`${id}:${secret}, Bearer ${secret}`)],
    ["two joined credentials", (secret, id) => `${raw(`${id}:${secret}`)}, ${raw(`${id}:${secret}`)}`],
    ["base64url", () => `Basic ${Buffer.from("a:?>?>?>").toString("base64url")}`],
    ["padding in the middle", (secret, id) => raw(`${id}:${secret}`).replace("Basic ", "Basic YQ==")],
    [
      "other trailing bits",
      (_, id) => raw(`${id}:secre`).replace(/[A-Za-z0-9]=*$/, (end) => end.replace(/^./, "9")),
    ],
  ])("rejects Basic with %s", async (_, header) => {
    const { tokens, issue, events } = exchanger();
    const { secret, key } = await issue();
    events.length = 0;
    const authorization = header(secret, key.id);
    const reply = await post(tokens, "/token", { headers: { authorization }, form: GRANT });
    expect([reply.status, reply.body.error]).toEqual([401, "invalid_client"]);
    expect(reply.headers.get("www-authenticate")).toBe('Basic realm="api", charset="UTF-8"');
    expect(reply.text).not.toContain(secret);
    expect(events.length).toBe(1); // observers can count the attempt
  });

  it.each<[string, (secret: string, id: string) => string]>([
    ["CRLF in the secret", (secret, id) => `client_id=${id}&client_secret=${secret}%0d%0a`],
    ["a leading space", (secret, id) => `client_id=${id}&client_secret=+${secret}`],
    ["a trailing space", (secret, id) => `client_id=${id}&client_secret=${secret}+`],
    ["a leading scheme", (secret, id) => `client_id=${id}&client_secret=Bearer+${secret}`],
    ["invalid UTF-8", (secret, id) => `client_id=${id}&client_secret=${secret}%ff`],
    ["NUL", (secret, id) => `client_id=${id}&client_secret=${secret}%00`],
  ])("rejects a client_secret with %s", async (_, form) => {
    const { tokens, issue } = exchanger();
    const { secret, key } = await issue();
    const text = `grant_type=client_credentials&${form(secret, key.id)}`;
    const reply = await post(tokens, "/token", { form: text });
    expectError(reply, "invalid_client", 401, "malformed_credential");
    expect(reply.text).not.toContain(secret);
  });

  it("rejects two Authorization headers, and a truncated header section", async () => {
    const { tokens, issue } = exchanger();
    const { secret, key } = await issue();
    const send = async (form: Record<string, string>, connection: object, authorization?: string) => {
      const response = await tokens.token(
        new Request("http://localhost/token", {
          method: "POST",
          body: new URLSearchParams({ ...GRANT, ...form }),
          headers: authorization === undefined ? {} : { authorization },
        }),
        connection,
      );
      return [response.status, ((await response.json()) as { error: string }).error];
    };
    const rawHeaders = ["Authorization", `Bearer ${secret}`, "AUTHORIZATION", `Bearer ${secret}`];
    expect(await send({}, { rawHeaders }, `Bearer ${secret}`)).toEqual([400, "invalid_request"]);
    const inForm = { client_id: key.id, client_secret: secret };
    expect(await send(inForm, { headersTruncated: true })).toEqual([400, "invalid_request"]);
    expect(await send({}, { headersTruncated: true }, `Bearer ${secret}`)).toEqual([401, "invalid_client"]);
    expect(await send({}, { headersTruncated: true }, basicOf(key.id, secret))).toEqual([
      401,
      "invalid_client",
    ]);
  });

  it("ignores a key in the query", async () => {
    const { tokens, issue } = exchanger();
    const { secret, key } = await issue();
    const query = new URLSearchParams({
      ...GRANT,
      client_id: key.id,
      client_secret: secret,
      access_token: secret,
    });
    expectError(await post(tokens, `/token?${query}`), "invalid_request", 400, "invalid_request");
    expectError(
      await post(tokens, `/token?${query}`, { form: GRANT }),
      "invalid_client",
      401,
      "missing_credential",
    );
  });

  it("sends a challenge for the scheme that the client used", async () => {
    const { tokens } = exchanger({}, { realm: "fleet" });
    const challengeOf = async (sent: Sent) =>
      (await post(tokens, "/token", { form: GRANT, ...sent })).headers.get("www-authenticate");
    expect(await challengeOf({ bearer: "x" })).toBe('Bearer realm="fleet", error="invalid_token"');
    expect(await challengeOf({ basic: ["a", "b"] })).toBe('Basic realm="fleet", charset="UTF-8"');
    expect(await challengeOf({})).toBe('Bearer realm="fleet"');
  });

  it("responds to a network that is not allowed with unauthorized_client (RFC 6749, 5.2)", async () => {
    const { tokens, issue } = exchanger({}, { trustedProxies: ["10.0.0.0/8"] });
    const { secret, key } = await issue({ ipAllowlist: ["192.0.2.0/24"] });
    const send = (remoteAddress: string, forwarded: string | undefined, sent: Sent) =>
      post(tokens, "/token", {
        ...sent,
        remoteAddress,
        headers: forwarded === undefined ? {} : { "x-forwarded-for": forwarded },
      });
    const inForm = { form: { ...GRANT, client_id: key.id, client_secret: secret } };
    for (const sent of [
      { bearer: secret, form: GRANT },
      { basic: [key.id, secret] as const, form: GRANT },
      inForm,
    ]) {
      expectError(await send("198.51.100.1", undefined, sent), "unauthorized_client", 400, "ip_not_allowed");
      expect((await send("192.0.2.1", undefined, sent)).status).toBe(200);
      expect((await send("198.51.100.1", "192.0.2.1", sent)).status).toBe(400);
      expect((await send("10.0.0.1", "192.0.2.1", sent)).status).toBe(200);
      expect((await send("10.0.0.1", "192.0.2.1, 198.51.100.1", sent)).status).toBe(400);
    }
    const subject = { form: { ...EXCHANGED, subject_token: secret } };
    expectError(await send("198.51.100.1", undefined, subject), "invalid_request", 400, "ip_not_allowed");
  });

  it("responds with 429 and the rate-limit headers, however the key was sent", async () => {
    const state = { name: "day", limit: 1, windowSeconds: 60, remaining: 0, resetSeconds: 42 };
    const { tokens, issue } = exchanger(
      {},
      { rateLimiter: { consume: () => ({ allowed: false, states: [state] }) } },
    );
    const { secret, key } = await issue();
    for (const sent of [
      { bearer: secret, form: GRANT },
      { basic: [key.id, secret] as const, form: GRANT },
      { form: { ...EXCHANGED, subject_token: secret } },
    ]) {
      const reply = await post(tokens, "/token", sent);
      expectError(reply, "temporarily_unavailable", 429, "rate_limited");
      expect([reply.headers.get("retry-after"), reply.headers.get("ratelimit")]).toEqual([
        "42",
        '"day";r=0;t=42',
      ]);
    }
  });

  it("escapes the error of a custom verifier (RFC 6749, 5.2)", async () => {
    const error = new AuthError(
      "invalid_key",
      'No "key" \\ é\n',
      { "WWW-Authenticate": "Bearer" },
      { error: "x" },
    );
    const verifier = wrapped(exchanger().verifier, async () => ({ ok: false, error }));
    const reply = await post(exchanger({ verifier }).tokens, "/token", { bearer: "x", form: GRANT });
    expectError(reply, "invalid_client", 401, "invalid_key");
  });
});

describe("failures", () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  const stores: Record<string, () => never | Promise<never>> = {
    throws: () => {
      throw new Error("connection to postgres://root:hunter2@db refused");
    },
    rejects: () => Promise.reject(new Error("connection to postgres://root:hunter2@db refused")),
    hangs: () => new Promise(() => {}),
  };

  it.each(Object.keys(stores))("responds with 503 and calls onError if the store %s", async (name) => {
    const base = exchanger({}, { storeTimeout: "50ms" });
    const { secret, key } = await base.issue();
    const token = await base.tokenOf(secret);
    const reported: unknown[] = [];
    const printed = (["log", "warn", "error", "info"] as const).map((level) => vi.spyOn(console, level));
    const { tokens } = exchanger({
      verifier: base.verifier,
      store: { findById: stores[name] as () => never },
      onError: (error, context) => {
        reported.push([(error as Error).name, context.path]);
        throw new Error("onError fails too");
      },
    });
    const reply = await post(tokens, "/token", { basic: [key.id, secret], form: GRANT });
    expectError(reply, "temporarily_unavailable", 503, "unavailable");
    expect(reply.headers.get("retry-after")).toBe("1");
    expect(reply.text).not.toContain("hunter2");
    expect(reported).toEqual([["StoreError", "/token"]]);
    for (const spy of printed) expect(spy).not.toHaveBeenCalled();
    expect(token).toBeTruthy();
  });

  it.each(Object.keys(stores))("responds with 503 if the store of the verifier %s", async (name) => {
    const base = exchanger();
    const { secret } = await base.issue();
    const store = { ...base.store, findByHash: stores[name] as () => never };
    const keys = exchanger({}, { store, storeTimeout: "50ms" });
    for (const path of ["/token", "/introspect", "/revoke"]) {
      const reply = await post(keys.tokens, path, { bearer: secret, form: { ...GRANT, token: "x" } });
      expectError(reply, "temporarily_unavailable", 503, "unavailable");
    }
  });

  it("warns once without onError, and omits the database error", async () => {
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const base = exchanger();
    const { secret } = await base.issue();
    const { tokens } = exchanger({
      verifier: base.verifier,
      store: { findById: stores.throws as () => never },
    });
    for (let i = 0; i < 3; i++) await post(tokens, "/token", { bearer: secret, form: GRANT });
    expect(warned).toHaveBeenCalledTimes(1);
    expect(String(warned.mock.calls[0]?.[0])).not.toContain("hunter2");
  });

  it("responds with 400 to an aborted body", async () => {
    const { tokens, issue } = exchanger();
    const { secret } = await issue();
    const body = new ReadableStream({
      pull(controller) {
        controller.error(new Error("gone"));
      },
    });
    const response = await tokens.handler(
      new Request("http://localhost/token", {
        method: "POST",
        body,
        duplex: "half",
        headers: { authorization: `Bearer ${secret}`, "content-type": "application/x-www-form-urlencoded" },
      } as RequestInit),
    );
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([
      400,
      "invalid_body",
    ]);
  });
});

describe("methods and paths", () => {
  it.each([
    ["", ""],
    ["/oauth", "/oauth"],
    ["/api/v2", "/api/v2"],
  ])("are routed below %j", async (basePath, prefix) => {
    const { tokens } = exchanger({ basePath });
    const statusOf = async (method: string, path: string) => {
      const { status, headers, text } = await post(tokens, path, { method });
      if (status === 405 || method === "HEAD") expect(headers.get("x-request-id")).toBeTruthy();
      if (method === "HEAD") expect(text).toBe("");
      return [status, headers.get("allow")];
    };
    for (const path of ["/token", "/introspect", "/revoke"]) {
      for (const method of ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
        expect(await statusOf(method, prefix + path)).toEqual([405, "POST"]);
      }
      expect((await statusOf("POST", `${prefix}${path}/`))[0]).toBe(404);
      expect((await statusOf("POST", `${prefix}/${path}`))[0]).toBe(404);
    }
    for (const path of ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server"]) {
      expect((await statusOf("GET", prefix + path))[0]).toBe(200);
      expect((await statusOf("HEAD", prefix + path))[0]).toBe(200);
      for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
        expect(await statusOf(method, prefix + path)).toEqual([405, "GET, HEAD"]);
      }
      expect((await statusOf("GET", `${prefix}${path}/`))[0]).toBe(404);
    }
    for (const path of ["/", "/TOKEN", "/%74oken", "/token/x", "/constructor", "/__proto__"]) {
      expect((await statusOf("POST", prefix + path))[0]).toBe(404);
    }
    if (prefix !== "") expect((await statusOf("POST", "/token"))[0]).toBe(404);
  });
});
