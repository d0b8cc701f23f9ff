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

// Types forbid most of what is tried here; JavaScript does not.
const guards: readonly { readonly name: string; readonly make: Make; readonly last: readonly unknown[] }[] = [
  { name: "expressAuth", make: expressAuth as unknown as Make, last: [] },
  { name: "koaAuth", make: koaAuth as unknown as Make, last: [] },
  { name: "honoAuth", make: honoAuth as unknown as Make, last: [] },
  { name: "fastifyAuth", make: fastifyAuth as unknown as Make, last: [] },
  { name: "fetchAuth", make: fetchAuth as unknown as Make, last: [handler] },
  { name: "nodeAuth", make: nodeAuth as unknown as Make, last: [handler] },
];

const REFUSED_ROUTES: readonly (readonly [string, readonly unknown[], RegExp])[] = [
  ["an empty list", [[]], /empty list/],
  ["an empty anyOf", [{ anyOf: [] }], /empty list/],
  ["undefined", [undefined], /undefined.*leave it out/],
  ["null", [null], /null.*leave it out/],
  ["undefined and options", [undefined, { optional: true }], /undefined.*leave it out/],
  ["an undefined scope", ["no:such"], /"no:such" is not defined/],
  ["an undefined scope in a list", [["vehicles:read", "no:such"]], /"no:such" is not defined/],
  ["an undefined scope in anyOf", [{ anyOf: ["vehicles:read", "no:such"] }], /"no:such" is not defined/],
  ["undefined in a list", [["vehicles:read", undefined]], /is not defined/],
  ["a hole in a list", [new Array(1)], /is not defined/],
  ["a list in a list", [[["vehicles:read"]]], /is not defined/],
  ["a scope in other case", ["VEHICLES:READ"], /is not defined/],
  ["a wildcard", ["*"], /is not defined/],
  ["a wildcard of a kind", ["vehicles:*"], /is not defined/],
  ["two scopes in one text", ["vehicles:read vehicles:write"], /is not defined/],
  ["an empty text", [""], /is not defined/],
  ["a member of every object", ["constructor"], /is not defined/],
  ["__proto__", ["__proto__"], /is not defined/],
  ["anyOf of a text", [{ anyOf: "vehicles:read" }], /anyOf: \[scopes\]/],
  ["anyOf of undefined", [{ anyOf: undefined }], /anyOf: \[scopes\]/],
  ["anyof, misspelt", [{ anyof: ["vehicles:read"] }], /unknown option "anyof"/],
  ["allOf", [{ allOf: ["vehicles:read"] }], /unknown option "allOf"/],
  ["an unknown option", ["vehicles:read", { optinal: true }], /unknown option "optinal"/],
  ["an unknown option alone", [{ optinal: true }], /unknown option "optinal"/],
  ["an option of another type", ["vehicles:read", { optional: "yes" }], /"optional" must be true or false/],
  ["an option of another type alone", [{ optional: 1 }], /"optional" must be true or false/],
  ["a scope for the options", ["vehicles:read", "vehicles:write"], /options object/],
  ["a list for the options", ["vehicles:read", ["vehicles:write"]], /options object/],
  ["options twice", [{ optional: true }, { optional: true }], /requirement/],
  ["a number", [5], /requirement/],
  ["true", [true], /requirement/],
  ["a function", [() => true, {}], /requirement/],
  ["anyOf with options in one object", [{ anyOf: ["vehicles:read"], optional: true }], /optional/],
  ["anyOf with an unknown member", [{ anyOf: ["vehicles:read"], allOf: ["drivers:write"] }], /allOf/],
];

const REFUSED_GUARDS: readonly (readonly [string, readonly unknown[], RegExp])[] = [
  ["no verifier", [undefined], /verifier/],
  ["null for the verifier", [null], /verifier/],
  ["an object for the verifier", [{}], /verifier/],
  ["a function for the verifier", [() => true], /verifier/],
  ["a verifier without assertRequirement", [{ verify: verifier.verify }], /assertRequirement/],
  ["an unknown option", [verifier, { onErorr: () => {} }], /unknown option "onErorr"/],
  ["route options", [verifier, { optional: true }], /unknown option "optional"/],
  ["an onError that is no function", [verifier, { onError: true }], /"onError" must be a function/],
  ["a text for the options", [verifier, "x"], /option/],
  ["a list for the options", [verifier, [() => {}]], /option/],
];

describe.each(guards)("$name", ({ name, make, last }) => {
  test.each(REFUSED_ROUTES)("a route with %s is a TypeError", (_what, args, message) => {
    const auth = make(verifier);
    const attempt = () => auth(...args, ...last);
    expect(attempt).toThrow(TypeError);
    expect(attempt).toThrow(message);
  });

  test.each(REFUSED_GUARDS)("a guard with %s is a TypeError", (_what, args, message) => {
    const attempt = () => make(...(args as [unknown]));
    expect(attempt).toThrow(TypeError);
    expect(attempt).toThrow(message);
  });

  test.each([
    ["nothing", []],
    ["a scope", ["vehicles:read"]],
    ["a planned scope", ["reports:read"]],
    ["a list", [["vehicles:read", "drivers:read"]]],
    ["anyOf", [{ anyOf: ["vehicles:read"] }]],
    ["options", [{ optional: true }]],
    ["no options", [{}]],
    ["a scope and options", ["vehicles:read", { optional: false }]],
    ["a scope and undefined options", ["vehicles:read", undefined]],
  ])("a route with %s is made", (_what, args) => {
    expect(() => make(verifier)(...args, ...last)).not.toThrow();
  });

  test.runIf(last.length > 0)("a route without a handler is a TypeError", () => {
    const auth = make(verifier);
    for (const args of [[], ["vehicles:read"], ["vehicles:read", {}], [handler, "vehicles:read"]]) {
      expect(() => auth(...args)).toThrow(new RegExp(`^${name}: the last argument must be a`));
    }
  });
});

test("honoAuth refuses a remoteAddress that is no function", () => {
  const attempt = () => (honoAuth as unknown as Make)(verifier, { remoteAddress: "127.0.0.1" });
  expect(attempt).toThrow(TypeError);
  expect(attempt).toThrow(/"remoteAddress" must be a function/);
});
