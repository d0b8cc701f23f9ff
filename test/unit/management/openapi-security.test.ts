import { describe, expect, test } from "vitest";
import { anyVerifier, createVerifier, type Verifier } from "../../../src/index.js";
import { operationSecurity, securitySchemes } from "../../../src/management/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { format, scopes } from "../core/fixtures.js";
import { jwtService } from "../jwt/fixtures.js";

const BASE = { store: memoryStore(), scopes, format };
const keys = createVerifier(BASE);
const inHeader = createVerifier({ ...BASE, credential: { header: "X-API-Key" } });
const withScheme = createVerifier({ ...BASE, credential: { scheme: "ApiKey" } });
const bearer = { type: "http", scheme: "bearer" };
const apiKey = { type: "apiKey", in: "header", name: "X-API-Key" };

describe("securitySchemes", () => {
  test.each<[string, Pick<Verifier, "credentials">, object]>([
    ["Authorization: Bearer", keys, { bearer }],
    ["JWTs", jwtService().verifier, { bearer }],
    ["keys and JWTs in one header", anyVerifier(keys, jwtService().verifier), { bearer }],
    ["another header", inHeader, { "x-api-key": apiKey }],
    ["another scheme", withScheme, { apikey: { type: "http", scheme: "apikey" } }],
    ["two headers", anyVerifier(keys, inHeader), { bearer, "x-api-key": apiKey }],
    ["a verifier of the host", {}, { bearer }],
    [
      "a header that cannot be a name of a component",
      { credentials: [{ type: "api_key", header: "X~Key" }] },
      { x_key: { ...apiKey, name: "X~Key" } },
    ],
  ])("describes %s", (_, verifier, expected) => {
    expect(securitySchemes(verifier)).toEqual(expected);
  });
});

describe("operationSecurity", () => {
  test("has the scopes of the requirement", () => {
    expect(operationSecurity(keys)).toEqual([{ bearer: [] }]);
    expect(operationSecurity(keys, "vehicles:read")).toEqual([{ bearer: ["vehicles:read"] }]);
    const both = ["vehicles:read", "drivers:read"] as const;
    expect(operationSecurity(keys, both)).toEqual([{ bearer: both }]);
    expect(operationSecurity(keys, { anyOf: both })).toEqual([
      { bearer: ["vehicles:read"] },
      { bearer: ["drivers:read"] },
    ]);
  });

  test("has an alternative for each credential, and for none", () => {
    const either = anyVerifier(keys, inHeader);
    expect(operationSecurity(either, "vehicles:read", { optional: true })).toEqual([
      { bearer: ["vehicles:read"] },
      { "x-api-key": ["vehicles:read"] },
      {},
    ]);
  });

  test.each([["vehicles:raed"], [[]], [{ anyOf: [] }], [null]])(
    "rejects the requirement %j",
    (requirement) => {
      expect(() => operationSecurity(keys, requirement as never)).toThrow(TypeError);
    },
  );
});
