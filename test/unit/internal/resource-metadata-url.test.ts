import { describe, expect, it } from "vitest";
import { resourceMetadataUrl } from "../../../src/internal/resource-metadata-url.js";

describe("resourceMetadataUrl", () => {
  // RFC 9728, sections 3 and 3.1
  it.each([
    ["https://resource.example.com", "https://resource.example.com/.well-known/oauth-protected-resource"],
    ["https://resource.example.com/", "https://resource.example.com/.well-known/oauth-protected-resource"],
    [
      "https://resource.example.com/resource1",
      "https://resource.example.com/.well-known/oauth-protected-resource/resource1",
    ],
    ["http://localhost:3000/v1/", "http://localhost:3000/.well-known/oauth-protected-resource/v1/"],
    ["https://a.example/?k=v", "https://a.example/.well-known/oauth-protected-resource?k=v"],
    ['https://a.example/"?"', "https://a.example/.well-known/oauth-protected-resource/%22?%22"],
  ])("inserts the well-known path after the host of %s", (resource, url) => {
    expect(resourceMetadataUrl("test", resource).href).toBe(url);
  });

  it.each(["", "api", "/v1", "ftp://a.example", "https://a.example/#", "https://u:p@a.example", 1, null])(
    "rejects %j",
    (resource) => {
      expect(() => resourceMetadataUrl("createVerifier", resource)).toThrow(
        new TypeError('createVerifier: "resource" must be an HTTP URL without credentials and fragment'),
      );
    },
  );
});
