const WELL_KNOWN = "/.well-known/oauth-protected-resource";

/**
 * Returns the URL of the metadata of a protected resource: the well-known path is inserted between the host and the path
 * (RFC 9728, section 3.1).
 *
 * @throws TypeError if `resource` is not an absolute HTTP URL without credentials and fragment (section 1.2).
 *
 * @example
 * resourceMetadataUrl("createVerifier", "https://api.example.com/v1").href
 * // "https://api.example.com/.well-known/oauth-protected-resource/v1"
 */
export function resourceMetadataUrl(where: string, resource: unknown): URL {
  const url = typeof resource === "string" && URL.canParse(resource) ? new URL(resource) : undefined;
  if (
    url === undefined ||
    !/^https?:$/.test(url.protocol) ||
    url.username + url.password !== "" ||
    String(resource).includes("#")
  ) {
    throw new TypeError(`${where}: "resource" must be an HTTP URL without credentials and fragment`);
  }
  url.pathname = WELL_KNOWN + (url.pathname === "/" ? "" : url.pathname);
  return url;
}
