import { createRemoteJWKSet, customFetch, type FetchImplementation, type JWTVerifyGetKey } from "jose";
import { StoreError } from "../kit.js";

/** The most bytes that a JWKS may have: 1 MiB. */
const MAX_BYTES = 1024 * 1024;
const TIMEOUT_MS = 5_000;
/** How old a set may become before it is read again. */
const MAX_AGE_MS = 5 * 60_000;
/** How soon a token of an unknown key may have it read again: anybody can send one. */
const COOLDOWN_MS = 30_000;
/** How long a failed try counts for those who come after it. */
const REST_MS = 1_000;

/** A JWKS behind a URL (RFC 7517, 5). */
export interface RemoteKeys {
  readonly getKey: JWTVerifyGetKey;
  /** The moment, in milliseconds of the monotonic clock, as of which keys that are asked for now are known. */
  readonly knownSince: () => number;
}

/** @throws TypeError for a URL that nobody should trust keys of. */
export function remoteKeys(where: string, location: string | URL): RemoteKeys {
  let fetchedAt: number | undefined;
  let fetchingSince: number | undefined;
  let failure: unknown;
  let restsUntil = 0;

  const fetchBounded: FetchImplementation = async (url, options) => {
    const began = performance.now();
    if (began < restsUntil) throw failure;
    fetchingSince = began;
    try {
      const body = await readBody(await fetch(url, options));
      fetchedAt = began;
      return new Response(body, { headers: { "Content-Type": "application/json" } });
    } catch (error) {
      failure = error;
      restsUntil = performance.now() + REST_MS;
      throw error;
    } finally {
      fetchingSince = undefined;
    }
  };

  return {
    getKey: createRemoteJWKSet(readUrl(where, location), {
      timeoutDuration: TIMEOUT_MS,
      cacheMaxAge: MAX_AGE_MS,
      cooldownDuration: COOLDOWN_MS,
      [customFetch]: fetchBounded,
    }),
    knownSince: () => fetchedAt ?? fetchingSince ?? performance.now(),
  };
}

/** Counts while it reads: a length that was announced proves nothing. A redirect is no answer. */
async function readBody(response: Response): Promise<Uint8Array> {
  const { status, body } = response;
  if (status !== 200) {
    await body?.cancel();
    throw new StoreError(`The JSON Web Key Set was answered with status ${status}`);
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.length;
    // Leaving the loop cancels the rest.
    if (length > MAX_BYTES) throw new StoreError(`The JSON Web Key Set has more than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function readUrl(where: string, location: string | URL): URL {
  if (!URL.canParse(location as string)) throw new TypeError(`${where}: "jwks" is not a URL`);
  const url = new URL(location);
  const isLoopback = /^(?:localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  if (url.protocol !== "https:" && !(url.protocol === "http:" && isLoopback)) {
    throw new TypeError(`${where}: "jwks" must be an https: URL; http: is for loopback only`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new TypeError(`${where}: "jwks" must be a URL without a user name or password`);
  }
  return url;
}
