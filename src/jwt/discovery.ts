import { readUrl } from "../http/remote-url.js";
import { StoreError } from "../kit.js";
import { getOwn, parseJsonObject } from "./json.js";

/** Finds the URL of the JWKS of an issuer. `read` fetches a document. */
export type LocateJwks = (read: (url: URL) => Promise<Uint8Array>) => Promise<URL>;

/**
 * Creates a function that finds the JWKS in the metadata of an issuer: OpenID Connect Discovery 1.0, section 4, or else
 * RFC 8414, section 3. The metadata must name exactly this issuer.
 *
 * @throws TypeError if the issuer is not an `https:` URL (`http:` on loopback) without query and fragment.
 */
export function createDiscovery(where: string, issuer: unknown): LocateJwks {
  const fail = (problem: string) => new TypeError(`${where}: "issuer" ${problem}, because of "discover"`);
  if (typeof issuer !== "string") throw fail("must be one string");
  const { origin, pathname, search, hash } = readUrl(issuer, fail);
  if (search !== "" || hash !== "") throw fail("must be a URL without query and fragment");
  const path = pathname.replace(/\/$/, "");
  const locations = [
    new URL(`${origin}${path}/.well-known/openid-configuration`),
    new URL(`${origin}/.well-known/oauth-authorization-server${path}`),
  ];
  return async (read) => {
    let failure: unknown;
    for (const location of locations) {
      try {
        return readJwksUri(await read(location), issuer);
      } catch (error) {
        failure ??= error;
      }
    }
    throw failure;
  };
}

function readJwksUri(document: Uint8Array, issuer: string): URL {
  const metadata = parseJsonObject(document) ?? {};
  const fail = (problem: string) => new StoreError(`The metadata of the issuer: "jwks_uri" ${problem}`);
  if (getOwn(metadata, "issuer") !== issuer) throw new StoreError("The metadata is not that of the issuer");
  return readUrl(getOwn(metadata, "jwks_uri"), fail);
}
