import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StoreError } from "../../../src/index.js";
import { allowed, errorOf, thrownBy } from "../../unit/core/fixtures.js";
import {
  claimsWith,
  ec,
  type JwksServer,
  jwk,
  jwksServer,
  jwtService,
  otherEc,
  token,
} from "../../unit/jwt/fixtures.js";

let server: JwksServer;
let origin: string;
beforeEach(async () => {
  server = await jwksServer();
  origin = new URL(server.url).origin;
});
afterEach(() => server.close());

const KEYS = { keys: [jwk(ec.publicKey, { kid: "a" })] };

/** Serves documents by path; any other path is a 404. Returns the requested paths. */
function serve(documents: Record<string, unknown>): string[] {
  const paths: string[] = [];
  server.respond = ({ url = "" }, res) => {
    paths.push(url);
    res.statusCode = Object.hasOwn(documents, url) ? 200 : 404;
    const document = documents[url];
    res.end(typeof document === "string" ? document : JSON.stringify(document ?? {}));
  };
  return paths;
}

const discovering = (issuer: string, more: object = {}) =>
  jwtService({ issuer, discover: true, key: undefined, ...more } as never);
const signed = (iss: string, key = ec.privateKey) =>
  token(claimsWith({ iss }), { alg: "ES256", kid: "a" }, { key });

describe("createJwtVerifier with discover", () => {
  it.each<[path: string, metadata: string]>([
    ["", "/.well-known/openid-configuration"],
    ["", "/.well-known/oauth-authorization-server"],
    ["/", "/.well-known/openid-configuration"],
    ["/realms/fleet", "/realms/fleet/.well-known/openid-configuration"],
    ["/realms/fleet/", "/realms/fleet/.well-known/openid-configuration"],
    ["/oauth", "/.well-known/oauth-authorization-server/oauth"],
  ])("finds the keys of an issuer at %j in %s", async (path, metadata) => {
    const issuer = origin + path;
    const paths = serve({ [metadata]: { issuer, jwks_uri: `${origin}/keys` }, "/keys": KEYS });
    const { send } = discovering(issuer);
    expect(paths).toEqual([]); // nothing is fetched before the first token
    allowed(await send(signed(issuer)));
    expect(errorOf(await send(signed(issuer, otherEc.privateKey))).code).toBe("invalid_key");
    expect(errorOf(await send(signed(`${issuer}x`))).code).toBe("invalid_key");
    expect(paths.filter((one) => one === "/keys")).toHaveLength(1);
  });

  it.each<[string, (issuer: string) => unknown]>([
    ["another issuer", (issuer) => ({ issuer: `${issuer}/`, jwks_uri: `${issuer}/keys` })],
    ["no issuer", (issuer) => ({ jwks_uri: `${issuer}/keys` })],
    ["no jwks_uri", (issuer) => ({ issuer })],
    ["an http jwks_uri", (issuer) => ({ issuer, jwks_uri: "http://keys.example/keys" })],
    ["a file", (issuer) => ({ issuer, jwks_uri: "file:///etc/passwd" })],
    ["a jwks_uri with a password", (issuer) => ({ issuer, jwks_uri: "https://a:b@keys.example/" })],
    ["an array", (issuer) => [{ issuer, jwks_uri: `${issuer}/keys` }]],
    ["two issuers", (issuer) => `{"issuer":"x","issuer":"${issuer}","jwks_uri":"${issuer}/keys"}`],
    ["HTML", () => "<html>"],
    ["more than 1 MiB", (issuer) => ({ issuer, jwks_uri: `${issuer}/keys`, pad: "x".repeat(1024 * 1024) })],
  ])("fails closed if the metadata has %s", async (_, metadata) => {
    const paths = serve({ "/.well-known/openid-configuration": metadata(origin), "/keys": KEYS });
    expect(await thrownBy(() => discovering(origin).send(signed(origin)))).toBeInstanceOf(StoreError);
    expect(paths).not.toContain("/keys");
  });

  it("does not follow a redirect of the metadata", async () => {
    serve({ "/other": { issuer: origin, jwks_uri: `${origin}/keys` }, "/keys": KEYS });
    const respond = server.respond;
    server.respond = (req, res) => {
      if (!req.url?.startsWith("/.well-known/")) return respond(req, res);
      res.writeHead(302, { Location: "/other" }).end();
    };
    expect(await thrownBy(() => discovering(origin).send(signed(origin)))).toBeInstanceOf(StoreError);
  });

  it.each<[string, object]>([
    ["several issuers", { issuer: ["https://a.example", "https://b.example"] }],
    ["an issuer that is not a URL", { issuer: "fleet" }],
    ["an http issuer", { issuer: "http://login.example.com" }],
    ["a query", { issuer: "https://login.example.com/?a" }],
    ["a fragment", { issuer: "https://login.example.com/#a" }],
    ["a password", { issuer: "https://a:b@login.example.com" }],
    ["jwks as well", { jwks: "https://login.example.com/keys" }],
    ["key as well", { key: ec.publicKey }],
    ["HS256", { algorithms: ["HS256"] }],
    ["a string", { discover: "yes" }],
  ])("rejects %s at start-up", (_, more) => {
    expect(() => discovering("https://login.example.com", more)).toThrow(TypeError);
  });
});
