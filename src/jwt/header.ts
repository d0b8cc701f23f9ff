import type { Algorithms } from "./algorithms.js";
import { decodePart, own, parseObject } from "./json.js";

/** The most characters that a token may have: 8 KiB. */
export const MAX_CHARACTERS = 8_192;

// RFC 7519, 7.2; RFC 7515, 7.1: exactly three parts, none of them empty.
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/**
 * Header parameters that a token must not have: those that bring a key along (RFC 7515, 4.1.2 to 4.1.6; RFC 8725,
 * 3.10), extensions that must be understood (4.1.11), of which none is, and what belongs to encryption or to other
 * payloads (RFC 7516, 4.1; RFC 7797, 3).
 */
const REFUSED = ["jku", "jwk", "x5u", "x5c", "crit", "b64", "enc", "zip"];

/** What a header has to be. */
export interface HeaderRules {
  readonly algorithms: Algorithms;
  /** The types, in lower case and without `application/`; `undefined` among them stands for no `typ`. */
  readonly types: ReadonlySet<string | undefined>;
}

/** The protected header of a token that may be worth verifying. */
export type TokenHeader = Readonly<Record<string, unknown>> & { readonly alg: string };

/**
 * Judges the form and the header of a token, before anything of it is verified; `undefined` when it cannot be one
 * of ours. Neither a key nor an algorithm is ever taken from it: it can only name one that is allowed.
 */
export function readHeader(token: string, { algorithms, types }: HeaderRules): TokenHeader | undefined {
  if (token.length > MAX_CHARACTERS || !COMPACT.test(token)) return undefined;
  const parts = token.split(".").map(decodePart);
  const header = parts.every((part) => part !== undefined) ? parseObject(parts[0] as Uint8Array) : undefined;
  if (header === undefined || REFUSED.some((name) => Object.hasOwn(header, name))) return undefined;
  const [alg, kid, typ] = [own(header, "alg"), own(header, "kid"), own(header, "typ")];
  if (typeof alg !== "string" || !algorithms.has(alg)) return undefined;
  if (Object.hasOwn(header, "kid") && typeof kid !== "string") return undefined;
  if (Object.hasOwn(header, "typ") && typeof typ !== "string") return undefined;
  return types.has(plainType(typ as string | undefined)) ? (header as TokenHeader) : undefined;
}

/** A media type as it is compared: without case, and with `application/` left out (RFC 7515, 4.1.9). */
export function plainType<T extends string | undefined>(typ: T): T | string {
  return typ?.toLowerCase().replace(/^application\/(?=[^/]*$)/, "") as T | string;
}
