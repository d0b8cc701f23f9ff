import { hash } from "node:crypto";
import type { GeneratedKeyFormat, KeyRecord } from "../dist/index.js";

/**
 * The check that a team would write itself: prefix and checksum, SHA-256, a Map, revocation, expiry and one scope. The
 * benchmark compares `verify` with it. Do not optimise it when you optimise `verify`.
 */
export async function handWrittenCheck(
  authorization: string | undefined,
  format: GeneratedKeyFormat,
  keys: ReadonlyMap<string, KeyRecord>,
  scope: string,
): Promise<KeyRecord | undefined> {
  if (authorization === undefined || !authorization.startsWith("Bearer ")) return undefined;
  const secret = authorization.slice("Bearer ".length);
  if (format.parse(secret)?.environment !== "live") return undefined;
  const record = keys.get(hash("sha256", secret, "hex"));
  if (record === undefined || record.revokedAt !== null) return undefined;
  if (record.expiresAt !== null && Date.now() >= record.expiresAt.getTime()) return undefined;
  return record.scopes.includes(scope) ? record : undefined;
}
