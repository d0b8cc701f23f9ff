import { describe, expect, test } from "vitest";
import { createManagementApi, type ManagementOptions } from "../../../src/management/index.js";
import { managementApi } from "./fixtures.js";

const { manager, verifier } = managementApi();

describe("rejects invalid options", () => {
  test.each<[object, string]>([
    [{ manger: manager }, 'unknown option "manger"'],
    [{ keys: undefined }, '"keys"'],
    [{ keys: { ...manager, rotate: undefined } }, "rotate"],
    [{ keys: { ...manager, scopes: undefined } }, '"keys.scopes"'],
    [{ verifier: {} }, '"verifier"'],
    [{ keyVerifier: undefined }, '"keyVerifier" is undefined'],
    [{ keyVerifier: {} }, '"keyVerifier"'],
    [{ requires: undefined }, '"requires" is undefined'],
    [{ requires: { read: undefined } }, '"read" is undefined'],
    [{ requires: { raed: "vehicles:read" } }, 'unknown option "raed"'],
    [{ requires: { read: "vehicles:raed" } }, "vehicles:raed"],
    [{ requires: { write: [] } }, "empty"],
    [{ basePath: "api" }, '"basePath"'],
    [{ basePath: "/api/" }, '"basePath"'],
    [{ basePath: "/" }, '"basePath"'],
    [{ basePath: "/a b" }, '"basePath"'],
    [{ basePath: "/../x" }, '"basePath"'],
    [{ basePath: 7 }, '"basePath"'],
    [{ paths: { keys: "" } }, '"paths.keys"'],
    [{ paths: { keys: "/me" } }, '"paths"'],
    [{ paths: { me: "/api-keys/me" } }, '"paths"'],
    [{ paths: { kes: "/x" } }, 'unknown option "kes"'],
    [{ routes: [] }, '"routes" is empty'],
    [{ routes: ["lst"] }, '"routes" contains "lst"'],
    [{ routes: undefined }, '"routes" is undefined'],
    [{ input: undefined }, '"input" is undefined'],
    [{ input: { create: undefined } }, '"create" is undefined'],
    [{ input: { create: ["ownerId"] } }, '"input.create" contains "ownerId"'],
    [{ input: { update: ["scopes"] } }, '"input.update" contains "scopes"'],
    [{ defaults: {} }, '"defaults" must be a function'],
    [{ defaults: undefined }, '"defaults" is undefined'],
    [{ actor: "ann" }, '"actor" must be a function'],
    [{ onError: "log" }, '"onError" must be a function'],
    [{ overlap: 3_600 }, '"overlap"'],
    [{ overlap: "1w" }, '"overlap"'],
    [{ pageSize: 0 }, '"pageSize"'],
    [{ pageSize: 1_001 }, '"pageSize"'],
    [{ openapi: { info: { tilte: "x" } } }, 'unknown option "tilte"'],
    [{ openapi: { server: [] } }, 'unknown option "server"'],
    [{ openapi: { servers: {} } }, '"servers" must be an array'],
    [{ openapi: { servers: ["/"] } }, '"url"'],
    [{ openapi: { tags: [{}] } }, '"name"'],
    [{ openapi: { securitySchemes: {} } }, '"securitySchemes"'],
    [{ openapi: { securitySchemes: { a: {} } } }, '"securitySchemes"'],
    [{ openapi: { tags: undefined } }, '"tags"'],
    [{ presenter: { eror: () => ({}) } }, 'unknown option "eror"'],
    [{ presenter: { error: {} } }, '"error" must be a function'],
    [{ presenter: { naming: "kebab-case" } }, '"naming"'],
    [{ presenter: { naming: () => "same" } }, "two members the same name"],
    [{ presenter: { naming: () => "" } }, '"naming" must return a name'],
    [{ presenter: { naming: (name: string) => `${name}-x` } }, '"naming" must return a name'],
    [{ presenter: { schemas: { keys: {} } } }, 'unknown option "keys"'],
    [{ presenter: { schemas: { key: {} } } }, '"schemas.key"'],
  ])("%o", (more, message) => {
    const options = { keys: manager, verifier, ...more } as ManagementOptions;
    expect(() => createManagementApi(options)).toThrow(TypeError);
    expect(() => createManagementApi(options)).toThrow(message);
  });
});

test("needs only a manager and a verifier", () => {
  expect(createManagementApi({ keys: manager, verifier })).toBeTypeOf("function");
});
