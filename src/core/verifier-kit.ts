import { type ClientIpOptions, type ClientIpResolver, clientIpResolver } from "./client-ip.js";
import {
  type CredentialFault,
  type CredentialOptions,
  credentialSource,
  extractCredential,
} from "./credential.js";
import { StoreError } from "./errors.js";
import {
  checkObservers,
  type DenialReason,
  emit,
  type KeyEvent,
  type KeyIdentity,
  type Observer,
  type RequestFacts,
} from "./events.js";
import { failed, withinTime } from "./lookup.js";
import { checkFunction, checkMethods, describe, isPromiseLike, warn } from "./options.js";
import type { Principal } from "./principal.js";
import {
  isRateLimitDecision,
  type RateLimitDecision,
  type RateLimiter,
  rateLimitHeaders,
} from "./rate-limit.js";
import type { VerifiableRecord } from "./record.js";
import { type Attempt, createRefusals } from "./refusals.js";
import { type AuthRequest, pathOf, resolveRequestId, withRequestId } from "./request.js";
import { type Requirement, requiredScopes, type Scopes } from "./scopes.js";
import type { Awaitable } from "./store.js";
import type { AuthResult } from "./verifier.js";

/** Options that every verifier has, whatever its credentials are. */
export interface CommonVerifierOptions<S extends string = string> extends ClientIpOptions {
  /** What routes may ask for, from `defineScopes`. */
  readonly scopes: Scopes<S>;
  /** The environment, or environments, that this service serves. Absent: every one. */
  readonly environment?: string | readonly string[];
  /** Named in challenges; `"api"` by default. */
  readonly realm?: string;
  /** The time, for tests; the system's by default. */
  readonly clock?: () => Date;
  /** How long the store, and the rate limiter, may take: 250 ms by default. */
  readonly storeTimeoutMs?: number;
  /** Asked last, for requests that everything else allows. */
  readonly rateLimiter?: RateLimiter;
  /** Told of every decision. */
  readonly observers?: readonly Observer[];
  /** Where the credential is sent; `Authorization: Bearer <token>` by default. */
  readonly credential?: CredentialOptions;
}

/** The names of {@link CommonVerifierOptions}, for `checkOptions`. */
export const COMMON_VERIFIER_OPTIONS: readonly (keyof CommonVerifierOptions)[] = [
  "scopes",
  "environment",
  "trustedProxies",
  "clientIpHeader",
  "realm",
  "clock",
  "storeTimeoutMs",
  "rateLimiter",
  "observers",
  "credential",
];

/** What differs between the verifiers of this package, beside their steps. */
export interface VerifierKind {
  /** The name of the function that makes it, for errors. */
  readonly where: string;
  /** What its credentials are called in the messages of refusals, such as `API key`. */
  readonly noun: string;
  /** Every environment there can be, where they are known. */
  readonly environments?: readonly string[] | undefined;
  /** Tell the holder of a key whether it is revoked, disabled or expired. */
  readonly exposeKeyState?: boolean | undefined;
}

/** What the rate limiter is told of the holder of a credential. */
export type LimitedHolder = Pick<VerifiableRecord, "id" | "ownerId" | "environment" | "rateLimit">;

/**
 * The parts that every verifier is put together from: it reads the credential, and writes the decision down.
 * What lies between is the verifier's own.
 */
export interface VerifierKit<S extends string> {
  readonly scopes: Scopes<S>;
  readonly timeoutMs: number;
  readonly observers: readonly Observer[];
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** The one credential of a request, or why there is none. */
  readonly credential: (request: AuthRequest) => string | CredentialFault;
  /** Whether this service serves an environment; `undefined` stands for none, and is served. */
  readonly serves: (environment: string | undefined) => boolean;
  readonly clientIp: ClientIpResolver;
  /** Asks the rate limiter, within the time limit; `undefined` without one. */
  readonly limit: (holder: LimitedHolder, request: AuthRequest) => Awaitable<RateLimitDecision | undefined>;
  /** Takes a request in. */
  readonly begin: (request: AuthRequest, required: Requirement<S> | undefined) => Attempt<S>;
  /** Lets it through, and tells the observers. */
  readonly allow: (
    attempt: Attempt<S>,
    principal: Principal<S>,
    limited?: RateLimitDecision,
    headers?: Readonly<Record<string, string>>,
  ) => AuthResult<S>;
  /** Refuses it, and tells the observers. */
  readonly deny: (attempt: Attempt<S>, reason: DenialReason, limited?: RateLimitDecision) => AuthResult<S>;
  /** Tells the observers that it could not be judged. */
  readonly fail: (attempt: Attempt<S>, error: unknown) => void;
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});

/**
 * Checks the options that every verifier has, and makes its kit; for verifiers of credentials of another kind.
 * Options of your own have to be checked before, with `checkOptions`.
 *
 * @throws TypeError for options that are missing or cannot work, naming the option.
 */
export function createVerifierKit<S extends string>(
  options: CommonVerifierOptions<S>,
  { where, noun, environments, exposeKeyState = false }: VerifierKind,
): VerifierKit<S> {
  const { scopes, clock, observers: given = [], storeTimeoutMs = 250, rateLimiter } = options;
  checkMethods(where, "scopes", scopes, ["holds", "get", "assertRequirement"]);
  checkFunction(where, "clock", clock);
  checkObservers(where, given);
  if (rateLimiter !== undefined) checkMethods(where, "rateLimiter", rateLimiter, ["consume"]);
  // setTimeout fires at once for anything longer than 2^31 - 1 ms.
  if (!(typeof storeTimeoutMs === "number" && storeTimeoutMs > 0 && storeTimeoutMs < 2 ** 31)) {
    throw new TypeError(`${where}: "storeTimeoutMs" must be a number of milliseconds above 0`);
  }
  const source = credentialSource(options.credential);
  const refusals = createRefusals(scopes, {
    where,
    noun,
    source,
    realm: options.realm ?? "api",
    exposeKeyState,
  });
  const clientIp = clientIpResolver(options);
  const now = clock === undefined ? Date.now : () => clock().getTime();
  const observers = [...given];
  const observed = observers.length > 0;

  const tell = (
    attempt: Attempt<S>,
    event: (facts: RequestFacts & Partial<KeyIdentity>) => KeyEvent,
  ): void => {
    const { request, required, began = 0 } = attempt;
    const names = Object.freeze([...requiredScopes(required)]);
    const facts: RequestFacts = {
      at: new Date(now()),
      requestId: resolveRequestId(request),
      method: request.method,
      path: pathOf(request),
      clientIp: clientIp(request)?.text,
      requiredScopes: names,
      audit: names.some((name) => scopes.get(name)?.audit === true),
      durationMs: performance.now() - began,
    };
    emit(observers, event({ ...facts, ...identity(attempt) }));
  };

  return {
    scopes,
    timeoutMs: storeTimeoutMs,
    observers,
    now,
    credential: (request) => extractCredential(request, source),
    serves: readEnvironments(where, options.environment, environments ?? []),
    clientIp,
    limit: boundedLimiter(rateLimiter, storeTimeoutMs),

    // Only an attempt that will be told about needs an id: its events, and the principal, name the same one.
    begin: (request, required) =>
      observed
        ? {
            request: withRequestId(request, resolveRequestId(request)),
            required,
            began: performance.now(),
            holder: undefined,
          }
        : { request, required, holder: undefined },

    allow(attempt, principal, limited, headers = NO_HEADERS) {
      if (observed) {
        const { id: keyId, ownerId, environment } = principal;
        const isKey = attempt.holder?.isKey !== false;
        tell(attempt, (facts) => ({ ...facts, type: "auth.allowed", keyId, ownerId, environment, isKey }));
      }
      return {
        ok: true,
        principal,
        headers: limited === undefined ? headers : { ...headers, ...rateLimitHeaders(limited) },
      };
    },

    deny(attempt, reason, limited) {
      const error = refusals(attempt, reason, limited);
      if (observed) tell(attempt, (facts) => ({ ...facts, type: "auth.denied", code: error.code, reason }));
      return { ok: false, error };
    },

    fail(attempt, error) {
      if (observed) tell(attempt, (facts) => ({ ...facts, type: "auth.failed", error }));
    },
  };
}

function identity({ holder }: Attempt<string>): Partial<KeyIdentity> {
  if (holder === undefined) return {};
  const { id: keyId, ownerId, environment, isKey = true } = holder;
  return { keyId, ownerId, environment: environment ?? undefined, isKey };
}

function readEnvironments(
  where: string,
  environment: CommonVerifierOptions["environment"],
  known: readonly string[],
): (environment: string | undefined) => boolean {
  if (environment === undefined) return () => true;
  const names: readonly unknown[] = Array.isArray(environment) ? environment : [environment];
  for (const name of names) {
    if (typeof name !== "string" || name === "") {
      throw new TypeError(`${where}: "environment" must be a name or a list of names, got ${describe(name)}`);
    }
    if (known.length > 0 && !known.includes(name)) {
      throw new TypeError(
        `${where}: "environment" names ${JSON.stringify(name)}; the format has ${known.join(", ")}`,
      );
    }
  }
  if (names.length === 0)
    throw new TypeError(`${where}: "environment" is empty; leave it out to serve every one`);
  const served = new Set(names);
  return (name) => name === undefined || served.has(name);
}

/** Without a limiter, a key's limit is not in force: the operator should know. */
function warningOfLimits(): VerifierKit<string>["limit"] {
  let warned = false;
  return ({ rateLimit }) => {
    if (rateLimit && !warned) {
      warned = true;
      warn("KEYBEARER_NO_RATE_LIMITER", 'A key has a "rateLimit", but the verifier has no "rateLimiter"');
    }
    return undefined;
  };
}

function boundedLimiter(limiter: RateLimiter | undefined, timeoutMs: number): VerifierKit<string>["limit"] {
  if (limiter === undefined) return warningOfLimits();
  const what = "The rate limiter";
  const trust = (decision: RateLimitDecision) => {
    if (!isRateLimitDecision(decision))
      throw new StoreError(`${what} answered something that is not a decision`);
    return decision;
  };
  return ({ id, ownerId, environment, rateLimit }, request) => {
    try {
      const decision = limiter.consume({ id, ownerId, environment, rateLimit }, request);
      return isPromiseLike(decision) ? withinTime(decision, timeoutMs, what).then(trust) : trust(decision);
    } catch (error) {
      throw failed(error, what);
    }
  };
}
