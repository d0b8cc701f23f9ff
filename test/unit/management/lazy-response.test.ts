import { createAdaptorServer } from "@hono/node-server";
import { afterAll, expect, test } from "vitest";
import { HttpProblem } from "../../../src/management/index.js";
import { managementApi } from "./fixtures.js";

// @hono/node-server replaces the global Response by one that reads its arguments when it is sent.
const given = ["Request", "Response"].map(
  (name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const,
);
createAdaptorServer({ fetch: () => new globalThis.Response() });
afterAll(() => {
  for (const [name, descriptor] of given) Object.defineProperty(globalThis, name, descriptor ?? {});
});

test("the global Response is replaced", () => {
  expect(() => new globalThis.Response("", { status: 99 })).not.toThrow();
});

test.each([
  ["an invalid status", new HttpProblem(99, "odd", "Odd.")],
  ["a header that cannot be sent", new HttpProblem(402, "odd", "Odd.", { headers: { "X-Plan": "≥" } })],
])(
  "an HttpProblem of the host with %s is a 500 and calls onError under @hono/node-server",
  async (_, thrown) => {
    const { call, errors } = managementApi({
      defaults() {
        throw thrown;
      },
    });
    const { status, body } = await call("POST /api-keys", { json: { scopes: [], environment: "live" } });
    expect([status, body.code, errors.length > 0]).toEqual([500, "internal_error", true]);
  },
);
