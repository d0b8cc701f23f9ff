import { createHmac } from "node:crypto";

/** The headers of a webhook (Standard Webhooks 1.0). */
export interface WebhookHeaders {
  readonly "webhook-id": string;
  /** Seconds since 1970. */
  readonly "webhook-timestamp": string;
  /** One signature for each secret. */
  readonly "webhook-signature": string;
}

/**
 * Signs a webhook with each secret: HMAC-SHA-256 of id, timestamp and body.
 *
 * @throws TypeError if there is no secret, or one is not `whsec_` and base64 of 24 to 64 bytes.
 */
export function signWebhook(
  secrets: string | readonly string[],
  id: string,
  seconds: number,
  body: string,
): WebhookHeaders {
  const list = typeof secrets === "string" ? [secrets] : secrets;
  if (!Array.isArray(list) || list.length === 0) throw new TypeError("An endpoint needs a secret");
  const signatures = list.map((secret) => {
    const hmac = createHmac("sha256", readSecret(secret));
    return `v1,${hmac.update(`${id}.${seconds}.${body}`).digest("base64")}`;
  });
  return {
    "webhook-id": id,
    "webhook-timestamp": String(seconds),
    "webhook-signature": signatures.join(" "),
  };
}

function readSecret(secret: unknown): Buffer {
  const [, base64] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(String(secret)) ?? [];
  const bytes = Buffer.from(base64 ?? "", "base64");
  if (bytes.length >= 24 && bytes.length <= 64) return bytes;
  throw new TypeError('The secret of an endpoint must be "whsec_" and base64 of 24 to 64 bytes');
}
