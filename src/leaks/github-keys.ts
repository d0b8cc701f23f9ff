import { createPublicKey, type KeyObject } from "node:crypto";
import { readResponse } from "../http/response-body.js";
import { StoreError } from "../kit.js";

const TIMEOUT_MS = 5_000;
const MAX_AGE_MS = 10 * 60_000;
/** The minimum time between two fetches for unknown identifiers, because anyone can send one. */
const COOLDOWN_MS = 2 * 60_000;
/** How long a failed fetch is not repeated. */
const RETRY_AFTER_MS = 1_000;

/** Finds the current public key with an identifier. Rejects with a StoreError if GitHub's keys cannot be fetched. */
export type FindPublicKey = (identifier: string) => Promise<KeyObject | undefined>;

/**
 * Creates the lookup of GitHub's public keys, which are fetched at most every 10 minutes, and for an unknown identifier at
 * most every 2 minutes. A key that GitHub no longer lists as current is not found.
 */
export function createGithubKeys(url: URL, token: string | undefined): FindPublicKey {
  let keys: ReadonlyMap<string, KeyObject> = new Map();
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let failedAt = Number.NEGATIVE_INFINITY;
  let failure: unknown;
  let pending: Promise<void> | undefined;

  const fetchKeys = async (): Promise<void> => {
    const startedAt = performance.now();
    if (startedAt < failedAt + RETRY_AFTER_MS) throw failure;
    try {
      const response = await fetch(url, {
        headers: {
          Accept: "application/json",
          "User-Agent": "keybearer",
          ...(token !== undefined && { Authorization: `Bearer ${token}` }),
        },
        redirect: "manual",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      keys = readKeys(await readResponse(response, "the public keys of GitHub"));
      fetchedAt = startedAt;
    } catch (error) {
      failure =
        error instanceof StoreError
          ? error
          : new StoreError("The public keys of GitHub cannot be fetched", error);
      failedAt = performance.now();
      throw failure;
    }
  };
  const refresh = (): Promise<void> => {
    pending ??= fetchKeys().finally(() => {
      pending = undefined;
    });
    return pending;
  };

  return async (identifier) => {
    const age = performance.now() - fetchedAt;
    if (age >= MAX_AGE_MS || (age >= COOLDOWN_MS && !keys.has(identifier))) await refresh();
    return keys.get(identifier);
  };
}

/** Reads the document of GitHub: `{ public_keys: [{ key_identifier, key, is_current }] }`. Skips keys of other types. */
function readKeys(document: Uint8Array): ReadonlyMap<string, KeyObject> {
  const list = (JSON.parse(Buffer.from(document).toString()) as { public_keys?: unknown } | null)
    ?.public_keys;
  if (!Array.isArray(list)) throw new StoreError("The document of GitHub has no public keys");
  const keys = new Map<string, KeyObject>();
  for (const item of list as readonly Record<string, unknown>[]) {
    const { key_identifier: identifier, key, is_current: isCurrent } = item ?? {};
    if (typeof identifier !== "string" || typeof key !== "string" || isCurrent !== true) continue;
    const publicKey = createPublicKey(key);
    if (publicKey.asymmetricKeyDetails?.namedCurve === "prime256v1") keys.set(identifier, publicKey);
  }
  return keys;
}
