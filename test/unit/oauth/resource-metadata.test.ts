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
    const authorizationServers = ["https://login.example.com"];
    const handler = createResourceMetadata({ ...OPTIONS, authorizationServers });
    authorizationServers.push("https://other.example.com");
    const response = await handler(new Request(URL_OF_METADATA));
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.get("cache-control")).toBe("public, max-age=300");
    expect(await response.json()).toEqual({
      resource: "https://api.example.com/v1",
      authorization_servers: ["https://login.example.com"],
      scopes_supported: scopes.names.filter((name) => scopes.isGrantable(name)),
      bearer_methods_supported: ["header"],
    });
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
    ["other", { other: 1 }],
  ])("rejects an invalid %s", (name, options) => {
    const create = () => createResourceMetadata({ ...OPTIONS, ...options } as ResourceMetadataOptions);
    expect(create).toThrow(TypeError);
    expect(create).toThrow(`"${name}"`);
  });
});
