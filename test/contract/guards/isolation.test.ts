import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { lookups, secrets, verifierBehind } from "../../unit/adapters/fixtures.js";
import { type App, setups } from "../../unit/adapters/frameworks.js";
import {
  type Connection,
  connect,
  header,
  type RawRequest,
  type RawResponse,
  toBytes,
} from "../../unit/adapters/raw.js";
import { PROTECTED } from "../../unit/adapters/routes.js";
import { bearer, chosenLines } from "./case.js";

const { reader, writer, dispatcher, detailed, local, office, revoked, unknown } = secrets;

const get = (target: string, secret?: string): RawRequest => ({
  target,
  headers: secret === undefined ? [] : [bearer(secret)],
});

const body = (response: RawResponse | undefined) => JSON.parse(response?.body ?? "null");

/** The status and the owner or error code of a response. */
const summary = (response: RawResponse | undefined) => [
  response?.status,
  body(response)?.owner ?? body(response)?.code,
];

describe.each(setups)("$name", ({ wire, start }) => {
  let app: App;
  const open: Connection[] = [];
  beforeAll(async () => {
    app = await start({ verifier: verifierBehind("none") });
  });
  afterAll(async () => {
    for (const connection of open) connection.close();
    await app.close();
  });

  const dial = (host?: string): Connection => {
    const connection = connect(app.port as number, host);
    open.push(connection);
    return connection;
  };

  test("changes of a handler to its principal do not affect the next request", async () => {
    const before = await app.request(get("/inspects", detailed));
    expect(before?.status).toBe(200);
    expect(body(before)).toMatchObject({
      principal: { type: "api_key", ownerId: "detailed", scopes: ["vehicles:read", "drivers:read"] },
      key: {
        scopes: ["vehicles:read", "drivers:read"],
        metadata: { plan: { tier: "gold", tags: ["a"] } },
        expiresAt: "2031-01-01T00:00:00.000Z",
        ipAllowlist: ["127.0.0.0/8", "::1"],
        status: "active",
      },
      can: false,
    });
    for (let i = 0; i < 3; i++) expect((await app.request(get("/mutates", detailed)))?.status).toBe(200);
    const after = await app.request(get("/inspects", detailed));
    expect(after?.body).toBe(before?.body);
    expect((await app.request(get("/admin", detailed)))?.status).toBe(403);
    expect((await app.request(get("/vehicles", detailed)))?.status).toBe(200);
  });

  test("the principal has no hash", async () => {
    const { body: text } = (await app.request(get("/inspects", detailed))) as RawResponse;
    expect(text).not.toMatch(/[0-9a-f]{64}/);
    expect(text).not.toContain('"hash"');
  });

  test("concurrent requests do not affect each other", async () => {
    const wanted = Array.from({ length: 60 }, (_, index) =>
      index % 3 === 0 ? reader : index % 3 === 1 ? writer : undefined,
    );
    const responses = await Promise.all(wanted.map((secret) => app.request(get("/vehicles", secret))));
    expect(responses.map(summary)).toEqual(
      wanted.map((secret) =>
        secret === undefined ? [401, "missing_credential"] : [200, secret === reader ? "reader" : "writer"],
      ),
    );
  });

  describe.runIf(wire)("on one connection", () => {
    const exchange = async (requests: readonly RawRequest[], pipelined: boolean) => {
      const connection = dial();
      const responses: (RawResponse | undefined)[] = [];
      if (pipelined) connection.write(Buffer.concat(requests.map(toBytes)));
      for (const request of requests) {
        if (!pipelined) connection.write(toBytes(request));
        responses.push(await connection.read(request.method));
      }
      return responses;
    };

    const mixed: readonly (readonly [RawRequest, unknown])[] = [
      [get("/vehicles", reader), [200, "reader"]],
      [get("/vehicles"), [401, "missing_credential"]],
      [get("/vehicles", writer), [200, "writer"]],
      [get("/optional"), [200, undefined]],
      [get("/vehicles", unknown), [401, "invalid_key"]],
      [get("/optional", revoked), [401, "invalid_key"]],
      [get("/admin", reader), [403, "insufficient_scope"]],
      [get("/vehicles", office), [403, "ip_not_allowed"]],
      [get("/vehicles", local), [200, "local"]],
      [get("/optional"), [200, undefined]],
      [{ headers: [bearer(reader), bearer(reader)] }, [401, "malformed_credential"]],
      [get("/me", dispatcher), [200, "dispatcher"]],
    ];

    test.each([
      ["pipelined", true],
      ["one after the other", false],
    ])("requests with different keys, %s, get their own responses", async (_how, pipelined) => {
      const responses = await exchange(
        mixed.map(([request]) => request),
        pipelined,
      );
      expect(responses.map(summary)).toEqual(mixed.map(([, wanted]) => wanted));
    });

    test("a valid key does not authenticate later requests", async () => {
      const responses = await exchange([get("/vehicles", reader), get("/vehicles"), get("/vehicles")], true);
      expect(responses.map((response) => response?.status)).toEqual([200, 401, 401]);
    });

    test("each response has its own request id", async () => {
      const requests = ["id-1", "id-2", "id-3"].map((requestId) => ({ ...get("/vehicles"), requestId }));
      const responses = await exchange(requests, true);
      expect(
        responses.map((response) => [
          header(response as RawResponse, "x-request-id"),
          body(response).requestId,
        ]),
      ).toEqual([
        ["id-1", "id-1"],
        ["id-2", "id-2"],
        ["id-3", "id-3"],
      ]);
    });

    test("HEAD has no body that would shift later responses", async () => {
      const responses = await exchange(
        [{ method: "HEAD" }, get("/vehicles", reader), { method: "HEAD" }],
        true,
      );
      expect(responses.map((response) => response?.status)).toEqual([401, 200, 401]);
    });

    test.each([
      ["with a Content-Length", (text: string) => [`Content-Length: ${text.length}`, text]],
      [
        "in chunks",
        (text: string) => [
          "Transfer-Encoding: chunked",
          `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`,
        ],
      ],
    ])("the body of a denied request, %s, is not parsed as a request", async (_how, frame) => {
      const before = lookups.count;
      const hidden = toBytes(get("/vehicles", writer)).toString("latin1");
      const [line, sent] = frame(hidden) as [string, string];
      const connection = dial();
      connection.write(toBytes({ method: "POST", target: "/drivers", headers: [line], body: sent }));
      const denied = await connection.read("POST");
      expect(summary(denied)).toEqual([401, "missing_credential"]);
      connection.write(toBytes(get("/vehicles", reader)));
      const next = await connection.read();
      // The server may close the connection, but must not respond to the hidden request.
      if (next !== undefined) expect(summary(next)).toEqual([200, "reader"]);
      expect(lookups.count - before).toBe(next === undefined ? 0 : 1);
    });

    test("the large body of a denied request does not block the connection", async () => {
      const body = "x".repeat(1_000_000);
      const connection = dial();
      connection.write(
        toBytes({ method: "POST", target: "/drivers", headers: [`Content-Length: ${body.length}`], body }),
      );
      expect(summary(await connection.read("POST"))).toEqual([401, "missing_credential"]);
      connection.write(toBytes(get("/vehicles", reader)));
      const next = await connection.read();
      if (next !== undefined) expect(summary(next)).toEqual([200, "reader"]);
    });

    test("a header after the end of a request is not part of it", async () => {
      const connection = dial();
      connection.write(Buffer.concat([toBytes(get("/vehicles")), Buffer.from(`${bearer(reader)}\r\n\r\n`)]));
      for (let response = await connection.read(); response; response = await connection.read()) {
        expect([400, 401]).toContain(response.status);
        expect(response.body).not.toContain(PROTECTED);
      }
    });

    test("a request that is sent byte by byte is verified", async () => {
      const connection = dial();
      for (const byte of toBytes(get("/vehicles", reader))) connection.write(Buffer.of(byte));
      expect(summary(await connection.read())).toEqual([200, "reader"]);
    });

    test("clients over IPv4, IPv4-mapped addresses and IPv6 match the allowlist of this machine", async () => {
      for (const host of ["127.0.0.1", "::1", "::ffff:127.0.0.1"]) {
        const connection = dial(host);
        connection.write(toBytes(get("/vehicles", local)));
        expect(summary(await connection.read())).toEqual([200, "local"]);
      }
    });

    test("a client that disconnects does not affect other requests", async () => {
      const connection = dial();
      connection.write(toBytes(get("/vehicles", reader)));
      connection.close();
      const response = await app.request(get("/vehicles"));
      expect(summary(response)).toEqual([401, "missing_credential"]);
      expect(chosenLines(response as RawResponse)).toHaveLength(5);
    });
  });
});
