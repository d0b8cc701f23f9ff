import { describe, expect, test } from "vitest";
import { expressAuth } from "../../../src/adapters/express.js";
import { fastifyAuth } from "../../../src/adapters/fastify.js";
import { fetchAuth } from "../../../src/adapters/fetch.js";
import { honoAuth } from "../../../src/adapters/hono.js";
import { koaAuth } from "../../../src/adapters/koa.js";
import { nodeAuth } from "../../../src/adapters/node.js";
import { verifierBehind } from "./fixtures.js";

type Make = (verifier: unknown, ...options: unknown[]) => (...args: unknown[]) => unknown;

const verifier = verifierBehind("none");
const handler = () => new Response();

// TypeScript forbids most of these arguments; JavaScript does not.
const guards: readonly { readonly name: string; readonly make: Make; readonly last: readonly unknown[] }[] = [
  { name: "expressAuth", make: expressAuth as unknown as Make, last: [] },
  { name: "koaAuth", make: koaAuth as unknown as Make, last: [] },
  { name: "honoAuth", make: honoAuth as unknown as Make, last: [] },
  { name: "fastifyAuth", make: fastifyAuth as unknown as Make, last: [] },
  { name: "fetchAuth", make: fetchAuth as unknown as Make, last: [handler] },
  { name: "nodeAuth", make: nodeAuth as unknown as Make, last: [handler] },
];

const INVALID_ROUTES: readonly (readonly [string, readonly unknown[], RegExp])[] = [
  ["an empty array", [[]], /array of scopes is empty/],
  ["an empty anyOf", [{ anyOf: [] }], /array of scopes is empty/],
  ["undefined", [undefined], /undefined.*omit it/],
  ["null", [null], /null.*omit it/],
  ["undefined and options", [undefined, { optional: true }], /undefined.*omit it/],
  ["an undefined scope", ["no:such"], /"no:such" is not defined/],
  ["an undefined scope in an array", [["vehicles:read", "no:such"]], /"no:such" is not defined/],
  ["an undefined scope in anyOf", [{ anyOf: ["vehicles:read", "no:such"] }], /"no:such" is not defined/],
  ["undefined in an array", [["vehicles:read", undefined]], /is not defined/],
  ["a hole in an array", [new Array(1)], /is not defined/],
  ["an array in an array", [[["vehicles:read"]]], /is not defined/],
  ["a scope in other case", ["VEHICLES:READ"], /is not defined/],
  ["a wildcard", ["*"], /is not defined/],
  ["a partial wildcard", ["vehicles:*"], /is not defined/],
  ["two scopes in one string", ["vehicles:read vehicles:write"], /is not defined/],
  ["an empty string", [""], /is not defined/],
  ["a member of Object.prototype", ["constructor"], /is not defined/],
  ["__proto__", ["__proto__"], /is not defined/],
  ["a string as anyOf", [{ anyOf: "vehicles:read" }], /anyOf: \[scopes\]/],
  ["undefined as anyOf", [{ anyOf: undefined }], /anyOf: \[scopes\]/],
  ["a misspelt anyOf", [{ anyof: ["vehicles:read"] }], /unknown option "anyof"/],
  ["allOf", [{ allOf: ["vehicles:read"] }], /unknown option "allOf"/],
  ["an unknown option", ["vehicles:read", { optinal: true }], /unknown option "optinal"/],
  ["an unknown option alone", [{ optinal: true }], /unknown option "optinal"/],
  ["an option of another type", ["vehicles:read", { optional: "yes" }], /"optional" must be true or false/],
  ["an option of another type alone", [{ optional: 1 }], /"optional" must be true or false/],
  ["a scope as options", ["vehicles:read", "vehicles:write"], /options object/],
  ["an array as options", ["vehicles:read", ["vehicles:write"]], /options object/],
  ["options twice", [{ optional: true }, { optional: true }], /requirement/],
  ["a number", [5], /requirement/],
  ["true", [true], /requirement/],
  ["a function", [() => true, {}], /requirement/],
  ["anyOf with options in one object", [{ anyOf: ["vehicles:read"], optional: true }], /optional/],
  ["anyOf with an unknown member", [{ anyOf: ["vehicles:read"], allOf: ["drivers:write"] }], /allOf/],
];

const INVALID_GUARDS: readonly (readonly [string, readonly unknown[], RegExp])[] = [
  ["no verifier", [undefined], /verifier/],
  ["null as verifier", [null], /verifier/],
  ["an empty object as verifier", [{}], /verifier/],
  ["a function as verifier", [() => true], /verifier/],
  ["a verifier without assertRequirement", [{ verify: verifier.verify }], /assertRequirement/],
  ["an unknown option", [verifier, { onErorr: () => {} }], /unknown option "onErorr"/],
  ["route options", [verifier, { optional: true }], /unknown option "optional"/],
  ["an onError that is not a function", [verifier, { onError: true }], /"onError" must be a function/],
  ["a string as options", [verifier, "x"], /option/],
  ["an array as options", [verifier, [() => {}]], /option/],
];

describe.each(guards)("$name", ({ name, make, last }) => {
  test.each(INVALID_ROUTES)("rejects a route with %s", (_what, args, message) => {
    const auth = make(verifier);
    const attempt = () => auth(...args, ...last);
    expect(attempt).toThrow(TypeError);
    expect(attempt).toThrow(message);
  });

  test.each(INVALID_GUARDS)("rejects a guard with %s", (_what, args, message) => {
    const attempt = () => make(...(args as [unknown]));
    expect(attempt).toThrow(TypeError);
    expect(attempt).toThrow(message);
  });

  test.each([
    ["nothing", []],
    ["a scope", ["vehicles:read"]],
    ["a planned scope", ["reports:read"]],
    ["an array", [["vehicles:read", "drivers:read"]]],
    ["anyOf", [{ anyOf: ["vehicles:read"] }]],
    ["options", [{ optional: true }]],
    ["no options", [{}]],
    ["a scope and options", ["vehicles:read", { optional: false }]],
    ["a scope and undefined options", ["vehicles:read", undefined]],
  ])("accepts a route with %s", (_what, args) => {
    expect(() => make(verifier)(...args, ...last)).not.toThrow();
  });

  test.runIf(last.length > 0)("rejects a route without a handler", () => {
    const auth = make(verifier);
    for (const args of [[], ["vehicles:read"], ["vehicles:read", {}], [handler, "vehicles:read"]]) {
      expect(() => auth(...args)).toThrow(new RegExp(`^${name}: the last argument must be a`));
    }
  });
});

test("honoAuth rejects a remoteAddress that is not a function", () => {
  const attempt = () => (honoAuth as unknown as Make)(verifier, { remoteAddress: "127.0.0.1" });
  expect(attempt).toThrow(TypeError);
  expect(attempt).toThrow(/"remoteAddress" must be a function/);
});
