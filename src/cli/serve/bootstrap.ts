import { readJson } from "../../http/body.js";
import { jsonResponse } from "../../http/json-response.js";
import { HttpProblem } from "../../http/problem.js";
import {
  type GeneratedKeyFormat,
  KeyConflictError,
  type KeyManager,
  KeyNotFoundError,
  KeyStateError,
  keyFormat,
  type ManagedKeyStore,
  type Verifier,
} from "../../kit.js";
import type { Config } from "../config.js";
import { type Run, requireInput } from "./endpoint.js";

/** The id of the record of the bootstrap token. One store has one. */
export const BOOTSTRAP_ID = "keybearer_bootstrap";

/** Verifiers of the service do not have this format, so the token is no credential. */
const FORMAT: GeneratedKeyFormat = keyFormat({ prefix: "keybearer_bootstrap" });

const ACTOR = "keybearer:bootstrap";

/**
 * Creates the one-time token, if this store never had one. Of several processes, one stores its token.
 *
 * @returns the token, or `undefined` if there is or was one.
 */
export async function createBootstrapToken(
  store: ManagedKeyStore,
  keys: KeyManager,
  ownerId: string,
): Promise<string | undefined> {
  if ((await store.findById(BOOTSTRAP_ID)) !== undefined) return undefined;
  const secret = FORMAT.generate();
  const scopes = ["keybearer:admin"];
  const record = { id: BOOTSTRAP_ID, name: "First administrator", environment: null, start: "" };
  try {
    await keys.import({ ...record, secret, ownerId, scopes }, ACTOR);
    return secret;
  } catch (error) {
    if (error instanceof KeyConflictError) return undefined;
    throw error;
  }
}

/**
 * Creates `POST /bootstrap`: replaces the token by the key of the first administrator. It is a rotation, so one
 * compare-and-set ends the token and stores the key, and of concurrent requests one succeeds.
 */
export function bootstrapEndpoint(config: Config, store: ManagedKeyStore, keys: KeyManager): Run {
  const verifier: Verifier = config.serviceVerifier({ store, rehash: false, storeTimeout: "5s" }, FORMAT);
  const invalid = () =>
    new HttpProblem(403, "invalid_token", "The bootstrap token is not valid, or it was used before.");
  return async ({ request, requestId }) => {
    const body = (await readJson(request)) as { readonly token?: unknown } | null;
    const token = body?.token;
    requireInput(typeof token === "string" && /^[\x21-\x7e]{1,256}$/.test(token), "token", "must be a token");
    const result = await verifier.verify({ headers: { authorization: `Bearer ${token}` } });
    if (!result.ok || result.principal.id !== BOOTSTRAP_ID) throw invalid();
    const environment = config.environment ?? keys.environments?.[0];
    try {
      const issued = await keys.rotate(BOOTSTRAP_ID, {
        ...{ actor: ACTOR, overlap: "0s" },
        ...(environment !== undefined && { environment }),
      });
      const { id, ownerId, scopes } = issued.key;
      return jsonResponse(request, requestId, 201, { secret: issued.secret, key: { id, ownerId, scopes } });
    } catch (error) {
      const isUsed =
        error instanceof KeyStateError ||
        error instanceof KeyConflictError ||
        error instanceof KeyNotFoundError;
      throw isUsed ? invalid() : error;
    }
  };
}
