import { mapAwaitable } from "../../internal/awaitable.js";
import {
  AuthError,
  type AuthRequest,
  type AuthResult,
  type KeyStore,
  type Observer,
  type Principal,
  type RateLimiter,
  type Requirement,
  type Verifier,
} from "../../kit.js";
import type { Config } from "../config.js";

/** A secret to verify on behalf of a service. */
export interface SecretCheck {
  readonly secret: string;
  readonly requirement?: Requirement | undefined;
  /** The address of the client that sent the secret. */
  readonly clientIp?: string | undefined;
  readonly requestId: string;
}

/** Verifies secrets for services. A service of the operator sees the keys of every owner, any other its own. */
export type CheckSecret = (caller: Principal | undefined, check: SecretCheck) => Promise<AuthResult>;

interface Options {
  readonly store: KeyStore;
  readonly operator: string;
  readonly rateLimiter: RateLimiter;
  readonly observers: readonly Observer[];
}

const MAX_VERIFIERS = 1_000;
// RFC 6750, section 2.1; anything else could add a header or a second credential.
const SECRET = /^[A-Za-z0-9._~+/-]{1,512}=*$/;

/** `caller` is `undefined` only if everybody on this machine may verify; see `openVerify`. */
export function createSecretCheck(config: Config, { store, operator, ...common }: Options): CheckSecret {
  const createFor = (own: KeyStore): Verifier =>
    config.serviceVerifier({ ...common, store: own, exposeKeyState: true });
  const all = createFor(store);
  const verifiers = new Map<string, Verifier>(); // the least recently used first

  const verifierOf = (ownerId: string): Verifier => {
    const verifier = verifiers.get(ownerId) ?? createFor(keysOf(store, ownerId));
    verifiers.delete(ownerId);
    verifiers.set(ownerId, verifier);
    if (verifiers.size > MAX_VERIFIERS) verifiers.delete(verifiers.keys().next().value as string);
    return verifier;
  };

  return async (caller, { secret, requirement, clientIp, requestId }) => {
    if (!SECRET.test(secret)) {
      return { ok: false, error: new AuthError("malformed_credential", "The secret cannot be read.") };
    }
    const isOperator = caller === undefined || caller.ownerId === operator;
    const verifier = isOperator ? all : verifierOf(caller.ownerId);
    const headers = { authorization: `Bearer ${secret}` };
    const request: AuthRequest = { headers, requestId, remoteAddress: clientIp };
    return verifier.verify(request, requirement);
  };
}

/** The keys of one owner: for its services the keys of others do not exist, in whatever state they are. */
function keysOf(store: KeyStore, ownerId: string): KeyStore {
  return {
    findByHash: (hash) =>
      mapAwaitable(store.findByHash(hash), (record) => (record?.ownerId === ownerId ? record : undefined)),
  };
}
