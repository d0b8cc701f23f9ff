import { sign } from "node:crypto";
import type { Principal } from "../kit.js";
import type { KeySet } from "../oauth/key-set.js";
import type { OriginalRequest } from "./proxies.js";

const UNKNOWN = "-";

/**
 * Returns the headers that identify the caller to the backend. Values are percent-encoded, and scopes are separated by
 * spaces. `-` stands for an unknown or empty value, because nginx drops empty headers.
 */
export function identityHeaders(principal: Principal | undefined): Record<string, string> {
  return {
    "X-Auth-Key-Id": encode(principal?.key?.id ?? principal?.id),
    "X-Auth-Owner": encode(principal?.ownerId),
    "X-Auth-Scopes": principal?.scopes.map(encode).join(" ") || UNKNOWN,
    "X-Auth-Environment": encode(principal?.environment),
  };
}

function encode(value: string | undefined): string {
  if (value === undefined || value === "") return UNKNOWN;
  if (value === UNKNOWN) return "%2D";
  return encodeURIComponent(value).replaceAll("%3A", ":");
}

/** How assertions are signed. */
export interface Assertions {
  readonly issuer: string;
  readonly audience: string;
  readonly ttlMs: number;
  readonly keys: KeySet;
}

/**
 * Signs who a request is, and what it asks for, as a JWT (RFC 7519) that the backend verifies with the published keys. It is
 * valid for this method and path only.
 */
export async function createAssertion(
  { issuer, audience, ttlMs, keys }: Assertions,
  principal: Principal | undefined,
  { method }: OriginalRequest,
  path: string,
  now: number,
): Promise<string> {
  await keys.refresh();
  const { kid, alg, privateKey } = keys.signer();
  const seconds = Math.floor(now / 1_000);
  const claims = {
    iss: issuer,
    aud: audience,
    sub: principal?.key?.id ?? principal?.id ?? UNKNOWN,
    iat: seconds,
    exp: seconds + Math.ceil(ttlMs / 1_000),
    jti: crypto.randomUUID(),
    owner_id: principal?.ownerId,
    scope: principal?.scopes.join(" "),
    environment: principal?.environment,
    method,
    path,
  };
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const data = `${part({ alg, kid, typ: "JWT" })}.${part(claims)}`;
  const hash = alg === "EdDSA" ? null : `sha${alg.slice(2)}`;
  const signature = sign(hash, Buffer.from(data), { key: privateKey, dsaEncoding: "ieee-p1363" });
  return `${data}.${signature.toString("base64url")}`;
}
