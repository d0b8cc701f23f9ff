import { Hono, type MiddlewareHandler } from "hono";
import { beforeEach, describe, expect, test } from "vitest";
import { fetchAuth } from "../../../src/adapters/fetch.js";
import { type HonoConnectionOptions, honoAuth, honoHandler } from "../../../src/adapters/hono.js";
import { createKeyManager } from "../../../src/index.js";
import { createManagementApi } from "../../../src/management/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { exchanger } from "../oauth/fixtures.js";
import { format, scopes, verifierBehind } from "./fixtures.js";

const verifier = verifierBehind("none");
const requestId = "of-the-request";
const guarded = () => new Response("allowed");

// TypeScript forbids most of these; JavaScript does not.
const INVALID_ADDRESSES: readonly (readonly [string, () => unknown])[] = [
  [
    "throws",
    () => {
      throw new TypeError("no address");
    },
  ],
  ["returns a promise", async () => "127.0.0.1"],
  ["returns a promise that rejects", () => Promise.reject(new Error("no address"))],
  ["returns a number", () => 2130706433],
];

describe.each(INVALID_ADDRESSES)("when remoteAddress %s", (_, readAddress) => {
  const remoteAddress = readAddress as () => undefined;
  const reported: unknown[] = [];
  const onError = (error: unknown) => reported.push(error);
  beforeEach(() => {
    reported.length = 0;
  });
  const expectUnavailable = async (response: Response) => {
    expect([response.status, await response.json()]).toMatchObject([503, { code: "unavailable", requestId }]);
    expect(reported).toEqual([expect.any(Error)]);
  };
  const mounted = (handler: Parameters<typeof honoHandler>[0]) =>
    new Hono().all("*", honoHandler(handler, { remoteAddress } as HonoConnectionOptions));
  const get = (path: string) =>
    new Request(`http://localhost${path}`, { headers: { "X-Request-Id": requestId } });

  test("fetchAuth responds with 503 and calls onError", async () => {
    const handler = fetchAuth(verifier, { remoteAddress, onError })({ optional: true }, guarded);
    await expectUnavailable(await handler(get("/")));
  });

  test("honoAuth responds with 503 and calls onError", async () => {
    const auth = honoAuth(verifier, { remoteAddress, onError });
    const app = new Hono().get("/", auth({ optional: true }) as MiddlewareHandler, guarded);
    await expectUnavailable(await app.request(get("/")));
  });

  test("a guarded handler in honoHandler responds with 503 and calls onError", async () => {
    const handler = fetchAuth(verifier, { onError })({ optional: true }, guarded);
    await expectUnavailable(await mounted(handler).request(get("/")));
  });

  test("the management API in honoHandler responds with 503 and calls onError", async () => {
    const manager = createKeyManager({ store: memoryStore(), scopes, format });
    const api = createManagementApi({ keys: manager, verifier, keyVerifier: verifier, onError });
    await expectUnavailable(await mounted(api).request(get("/api-keys")));
  });

  test("the token service in honoHandler responds with 503 and calls onError", async () => {
    const { tokens } = exchanger({ onError });
    const headers = { "X-Request-Id": requestId, "Content-Type": "application/x-www-form-urlencoded" };
    const body = "grant_type=client_credentials";
    const request = new Request("http://localhost/token", { method: "POST", headers, body });
    await expectUnavailable(await mounted(tokens.handler).request(request));
  });
});
