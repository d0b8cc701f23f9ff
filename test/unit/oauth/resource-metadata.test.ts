import { describe, expect, it } from "vitest";
import { createResourceMetadata, type ResourceMetadataOptions } from "../../../src/oauth/index.js";
import { scopes } from "../core/fixtures.js";

const OPTIONS: ResourceMetadataOptions = {
  resource: "https://api.example.com/v1",
  authorizationServers: ["https://login.example.com"],
  scopes,
};
const URL_OF_METADATA = "https://api.example.com/.well-known/oauth-protected-resource/v1";

describe("createResourceMetadata", () => {
  it("serves the metadata of RFC 9728, section 2", async () => {
    const handler = createResourceMetadata({
      ...OPTIONS,
      name: "Fleet",
      documentation: "https://docs.example.com",
      dpop: "required",
    });
    const response = await handler(new Request(URL_OF_METADATA));
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.get("cache-control")).toBe("public, max-age=300");
    expect(await response.json()).toEqual({
      resource: "https://api.example.com/v1",
      authorization_servers: ["https://login.example.com"],
      scopes_supported: scopes.names.filter((name) => scopes.isGrantable(name)),
      bearer_methods_supported: ["header"],
      resource_name: "Fleet",
      resource_documentation: "https://docs.example.com",
      dpop_signing_alg_values_supported: ["ES256", "ES384", "EdDSA", "Ed25519", "PS256", "RS256"],
      dpop_bound_access_tokens_required: true,
    });
  });

  it("leaves out what is not set", async () => {
    const response = await createResourceMetadata(OPTIONS)(new Request(URL_OF_METADATA));
    expect(Object.keys((await response.json()) as object)).toEqual([
      "resource",
      "authorization_servers",
      "scopes_supported",
      "bearer_methods_supported",
    ]);
  });

  it("responds to other paths with 404 and to other methods with 405", async () => {
    const handler = createResourceMetadata(OPTIONS);
    expect((await handler(new Request("https://api.example.com/v1"))).status).toBe(404);
    const posted = await handler(new Request(URL_OF_METADATA, { method: "POST" }));
    expect([posted.status, posted.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    expect(await (await handler(new Request(URL_OF_METADATA, { method: "HEAD" }))).text()).toBe("");
  });

  it.each<[string, object]>([
    ["resource", { resource: "api" }],
    ["authorizationServers", { authorizationServers: [] }],
    ["authorizationServers", { authorizationServers: ["login"] }],
    ["scopes", { scopes: undefined }],
    ["name", { name: 1 }],
    ["documentation", { documentation: "docs" }],
    ["dpop", { dpop: true }],
    ["other", { other: 1 }],
  ])("rejects an invalid %s", (name, options) => {
    const create = () => createResourceMetadata({ ...OPTIONS, ...options } as ResourceMetadataOptions);
    expect(create).toThrow(TypeError);
    expect(create).toThrow(`"${name}"`);
  });
});
