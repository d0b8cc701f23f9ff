import { createHmac, timingSafeEqual } from "node:crypto";

/** Nonces of the server (RFC 9449, section 8). They need no store: a nonce is its time and an HMAC of it. */
export interface Nonces {
  issue(): string;
  accepts(nonce: unknown): boolean;
}

const LIFETIME_SECONDS = 300;
/** The accepted difference between the clocks of two processes. */
const SKEW_SECONDS = 5;
const MIN_SECRET_BYTES = 32;
const NONCE = /^([0-9a-z]{1,10})\.([A-Za-z0-9_-]{22})$/;

/**
 * Creates nonces that every process with the same secret accepts. The first secret creates nonces; all are accepted.
 *
 * @throws TypeError if there is no secret, or one is shorter than 32 bytes.
 */
export function createNonces(where: string, given: unknown, now: () => number): Nonces {
  const secrets: readonly unknown[] = Array.isArray(given) ? given : [given];
  const isSecret = (secret: unknown): secret is string =>
    typeof secret === "string" && Buffer.byteLength(secret) >= MIN_SECRET_BYTES;
  if (secrets.length === 0 || !secrets.every(isSecret)) {
    throw new TypeError(
      `${where}: "dpop.nonceSecret" must be a string of at least ${MIN_SECRET_BYTES} bytes, or an array of such strings`,
    );
  }
  const [first, ...others] = secrets as readonly [string, ...string[]];

  return {
    issue() {
      const time = Math.floor(now() / 1_000).toString(36);
      return `${time}.${macOf(first, time).toString("base64url")}`;
    },
    accepts(nonce) {
      const [, time, mac] = (typeof nonce === "string" ? NONCE.exec(nonce) : undefined) ?? [];
      if (time === undefined || mac === undefined) return false;
      const age = now() / 1_000 - Number.parseInt(time, 36);
      if (!(age >= -SKEW_SECONDS && age < LIFETIME_SECONDS)) return false;
      const bytes = Buffer.from(mac, "base64url");
      return [first, ...others].some((secret) => timingSafeEqual(macOf(secret, time), bytes));
    },
  };
}

function macOf(secret: string, time: string): Buffer {
  return createHmac("sha256", secret).update(`keybearer DPoP nonce ${time}`).digest().subarray(0, 16);
}
