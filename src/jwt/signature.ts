import { compactVerify, errors, type KeyInput } from "jose";
import { StoreError } from "../kit.js";

/**
 * The payload of a token, if one of the keys signed it; `undefined` if none did.
 *
 * @throws StoreError when none did and one of them is not fit to tell: a JWKS that names a key of 1,024 bits.
 */
export async function verifiedPayload(
  token: string,
  alg: string,
  keys: readonly KeyInput[],
): Promise<Uint8Array | undefined> {
  let broken: unknown;
  for (const key of keys) {
    try {
      return (await compactVerify(token, key, { algorithms: [alg] })).payload;
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) broken = error; // of a token, jose only throws its own
    }
  }
  if (broken !== undefined) throw new StoreError("A key cannot be used to verify tokens", broken);
  return undefined;
}
