import { describe, isNonEmptyString } from "../../internal/validate.js";
import { KeyInputError } from "../errors.js";
import type { KeyHash } from "../keys/hash.js";
import { type ApiKey, toApiKey, type VerifiableRecord } from "../keys/record.js";
import type { PreparedManager } from "./options.js";
import type { Repository } from "./repository.js";

const MAX_SECRETS = 10_000;

/** Implements {@link KeyManager.identify}: tries the current hash of each secret, then the older ones. */
export async function identifyKeys(
  { hashers, now }: PreparedManager<string>,
  repository: Repository,
  secrets: readonly string[],
): Promise<readonly (ApiKey | undefined)[]> {
  checkSecrets(secrets);
  const records = new Map<string, VerifiableRecord>();
  let open = [...new Set(secrets)];
  const [current, ...older] = hashers;
  // Last the current hash again: a verifier may have moved a key to it in the meantime.
  for (const hasher of older.length > 0 ? [current, ...older, current] : [current]) {
    const hashes: (KeyHash | undefined)[] = [];
    for (const secret of open) hashes.push(await hasher(secret));
    const found = await repository.findManyByHash(hashes);
    for (const [index, record] of found.entries()) if (record) records.set(open[index] as string, record);
    open = open.filter((secret) => !records.has(secret));
  }
  const at = now().getTime();
  return secrets.map((secret) => {
    const record = records.get(secret);
    return record && toApiKey(record, at);
  });
}

function checkSecrets(secrets: readonly string[]): void {
  if (!Array.isArray(secrets)) {
    throw new KeyInputError("secrets", `must be an array of strings; received ${describe(secrets)}`);
  }
  if (secrets.length > MAX_SECRETS) {
    throw new KeyInputError("secrets", `must have at most ${MAX_SECRETS} items; received ${secrets.length}`);
  }
  for (const [index, secret] of secrets.entries()) {
    if (!isNonEmptyString(secret)) {
      throw new KeyInputError(
        `secrets[${index}]`,
        `must be a non-empty string; received ${describe(secret)}`,
      );
    }
  }
}
