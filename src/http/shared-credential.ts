import { timingSafeEqual } from "node:crypto";
import { describe } from "../internal/validate.js";
import { hashSecret } from "../kit.js";

const MIN_LENGTH = 16;

/**
 * Returns a function that compares what a program sent with a configured credential, in constant time.
 *
 * @throws TypeError if the credential is not a string of at least 16 printable ASCII characters without spaces. The message
 *   begins with `subject`.
 */
export function sharedCredential(
  subject: string,
  credential: unknown,
): (sent: string | null | undefined) => boolean {
  if (typeof credential !== "string" || !/^[\x21-\x7e]+$/.test(credential)) {
    const expected = "must be a string of printable ASCII characters without spaces";
    throw new TypeError(`${subject} ${expected}; received ${describe(credential)}`);
  }
  if (credential.length < MIN_LENGTH) {
    throw new TypeError(`${subject} must have at least ${MIN_LENGTH} characters`);
  }
  // Hashes have one length, as `timingSafeEqual` needs.
  const digest = (text: string) => Buffer.from(hashSecret(text));
  const expected = digest(credential);
  return (sent) => Boolean(sent) && timingSafeEqual(digest(sent as string), expected);
}
