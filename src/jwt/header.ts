import type { Algorithms } from "./algorithms.js";
import { decodeBase64url, getOwn, parseJsonObject } from "./json.js";

/** The maximum length of a token: 8 KiB. */
export const MAX_TOKEN_LENGTH = 8_192;

/** The compact serialization of a JWS: exactly three parts, none of them empty (RFC 7515, section 7.1). */
export const COMPACT_JWS: RegExp = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/**
 * Header parameters that are rejected: those that carry or locate a key (RFC 7515, sections 4.1.2 to 4.1.6; RFC 8725,
 * section 3.10), `crit`, because no extension is supported (4.1.11), and those of encryption and of other payloads
 * (RFC 7516, section 4.1; RFC 7797, section 3).
 */
const REJECTED = ["jku", "x5u", "x5c", "crit", "b64", "enc", "zip"];

/** The header parameters that a verifier requires. */
export interface HeaderRules {
  readonly algorithms: Algorithms;
  /** The accepted values of `typ`, normalized; `undefined` stands for no `typ`. */
  readonly types: ReadonlySet<string | undefined>;
  /** Whether the header has the key, as that of a DPoP proof does. `false` by default. */
  readonly hasKey?: boolean;
}

/** The protected header of a token. */
export type TokenHeader = Readonly<Record<string, unknown>> & { readonly alg: string };

/**
 * Reads and checks the header of a token before its signature is verified. Returns `undefined` if the token is
 * malformed or its header is not acceptable. A header can name an allowed algorithm and a key, but cannot contain a key
 * unless the rules say so.
 */
export function readHeader(
  token: string,
  { algorithms, types, hasKey = false }: HeaderRules,
): TokenHeader | undefined {
  if (token.length > MAX_TOKEN_LENGTH || !COMPACT_JWS.test(token)) return undefined;
  const parts = token.split(".").map(decodeBase64url);
  const header = parts.every((part) => part !== undefined)
    ? parseJsonObject(parts[0] as Uint8Array)
    : undefined;
  if (header === undefined || REJECTED.some((name) => Object.hasOwn(header, name))) return undefined;
  if (Object.hasOwn(header, "jwk") !== hasKey) return undefined;
  const [alg, kid, typ] = [getOwn(header, "alg"), getOwn(header, "kid"), getOwn(header, "typ")];
  if (typeof alg !== "string" || !algorithms.has(alg)) return undefined;
  if (Object.hasOwn(header, "kid") && typeof kid !== "string") return undefined;
  if (Object.hasOwn(header, "typ") && typeof typ !== "string") return undefined;
  return types.has(normalizeType(typ as string | undefined)) ? (header as TokenHeader) : undefined;
}

/** Normalizes a media type for comparison: lower case, without `application/` (RFC 7515, section 4.1.9). */
export function normalizeType(typ: string | undefined): string | undefined {
  return typ?.toLowerCase().replace(/^application\/(?=[^/]*$)/, "");
}
