import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";
import { type Principal, StoreError } from "../kit.js";
import type { OperationInput } from "./operation.js";
import type { RouteName } from "./routes.js";

/** The value of an entry, as JSON. */
export interface StoredResponse {
  /** HMAC of the request. */
  readonly request: string;
  /** When it was written, in milliseconds since 1970. */
  readonly at: number;
  /** Salt of the encryption key. It also makes each value unique. */
  readonly salt: string;
  /** The encrypted {@link SavedResponse}; absent before the response exists. */
  readonly response?: string;
}

/** A response, and the key that it issues. */
export interface SavedResponse {
  readonly keyId: string;
  readonly body: object;
}

/** Returns who makes a request, and its `Idempotency-Key`, as one string. Ids are unique for one issuer, and keys have others. */
export function callerOf(
  { ownerId, environment, type, id, key, claims }: Principal,
  idempotencyKey: string,
): string {
  const issuer = claims?.iss ?? null;
  return JSON.stringify([ownerId, environment ?? null, type, issuer, key?.id ?? null, id, idempotencyKey]);
}

/** Returns the id of the entry of a caller. */
export function entryId(secret: string, caller: string): string {
  return mac(secret, "id", caller);
}

/** Returns the HMAC of a request, by which a repeated request is recognized. */
export function requestMac(
  secret: string,
  route: RouteName,
  { id, body }: Pick<OperationInput<string>, "id" | "body">,
): string {
  return mac(secret, "request", JSON.stringify([route, id ?? null, body]));
}

const CIPHER = "aes-256-gcm";
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** Encrypts a response. */
export function seal(
  secret: string,
  caller: string,
  { request, salt }: Pick<StoredResponse, "request" | "salt">,
  response: SavedResponse,
): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv(CIPHER, encryptionKey(secret, caller, salt), iv).setAAD(Buffer.from(request));
  const sealed = [iv, cipher.update(JSON.stringify(response)), cipher.final(), cipher.getAuthTag()];
  return Buffer.concat(sealed).toString("base64url");
}

/**
 * Decrypts a response.
 *
 * @throws StoreError if the entry was changed, moved from another caller, or encrypted with another secret.
 */
export function open(
  secret: string,
  caller: string,
  { request, salt, response = "" }: StoredResponse,
): SavedResponse {
  try {
    const sealed = Buffer.from(response, "base64url");
    const iv = sealed.subarray(0, IV_BYTES);
    const key = encryptionKey(secret, caller, salt);
    const decipher = createDecipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(request)).setAuthTag(sealed.subarray(-TAG_BYTES));
    const text = [decipher.update(sealed.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()];
    return JSON.parse(Buffer.concat(text).toString());
  } catch {
    throw new StoreError("The idempotency store returned an entry that cannot be decrypted");
  }
}

/**
 * Derives the key of an entry from the secret of the host and from the caller with its `Idempotency-Key`. The store has
 * neither, and the HMAC of the caller that it has as id is another one.
 */
function encryptionKey(secret: string, caller: string, salt: string): Buffer {
  return Buffer.from(hkdfSync("sha256", secret, salt, mac(secret, "response", caller), 32));
}

function mac(secret: string, purpose: string, text: string): string {
  return createHmac("sha256", secret).update(`keybearer:idempotency:${purpose}\0${text}`).digest("base64url");
}
