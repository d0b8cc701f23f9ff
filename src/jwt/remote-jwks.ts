import { createRemoteJWKSet, customFetch, type FetchImplementation, type JWTVerifyGetKey } from "jose";
import { readResponse } from "../http/response-body.js";
import type { LocateJwks } from "./discovery.js";

const TIMEOUT_MS = 5_000;
const MAX_AGE_MS = 5 * 60_000;
/** The minimum time between two fetches for unknown keys, because anyone can send a token with an unknown `kid`. */
const COOLDOWN_MS = 30_000;
// `customFetch` gets the URL from `locate`.
const UNUSED_URL = new URL("https://jwks.invalid");
/** How long a failed fetch is not repeated. */
const RETRY_AFTER_MS = 1_000;

/** A JWKS behind a URL (RFC 7517, section 5). */
export interface RemoteJwks {
  readonly getKey: JWTVerifyGetKey;
  /** When the keys that `getKey` now returns were requested, in milliseconds of `performance.now()`. */
  readonly fetchedAt: () => number;
}

/** `locate` returns the URL. It is called for every fetch, so that an issuer can move its keys. */
export function createRemoteJwks(locate: LocateJwks): RemoteJwks {
  let fetchedAt: number | undefined;
  let pendingSince: number | undefined;
  let failure: unknown;
  let retryAt = 0;

  const boundedFetch: FetchImplementation = async (_, options) => {
    const read = async (url: URL) => readResponse(await fetch(url, options), "a metadata document");
    const startedAt = performance.now();
    if (startedAt < retryAt) throw failure;
    pendingSince = startedAt;
    try {
      const body = await readResponse(await fetch(await locate(read), options), "the JSON Web Key Set");
      fetchedAt = startedAt;
      return new Response(body, { headers: { "Content-Type": "application/json" } });
    } catch (error) {
      failure = error;
      retryAt = performance.now() + RETRY_AFTER_MS;
      throw error;
    } finally {
      pendingSince = undefined;
    }
  };

  return {
    getKey: createRemoteJWKSet(UNUSED_URL, {
      timeoutDuration: TIMEOUT_MS,
      cacheMaxAge: MAX_AGE_MS,
      cooldownDuration: COOLDOWN_MS,
      [customFetch]: boundedFetch,
    }),
    fetchedAt: () => fetchedAt ?? pendingSince ?? performance.now(),
  };
}
