import type { Awaitable } from "../../internal/awaitable.js";
import { type Duration, readDuration } from "../../internal/duration.js";
import { checkFunction, checkMethods, checkOptions, rejectUndefined } from "../../internal/validate.js";
import { warn } from "../../internal/warn.js";
import type { StoreError } from "../errors.js";
import {
  checkObservers,
  type DenialReason,
  emit,
  type KeyIdentity,
  type Observer,
  type RequestFacts,
} from "../events.js";
import { type Requirement, requiredScopes, type Scopes } from "../keys/scopes.js";
import { type ClientIpOptions, type ClientIpResolver, clientIpResolver } from "../requests/client-ip.js";
import {
  type CredentialFault,
  type CredentialOptions,
  credentialSource,
  extractCredential,
} from "../requests/credential.js";
import { type AuthRequest, pathOf, resolveRequestId, withRequestId } from "../requests/request.js";
import { boundedLimiter, type RateLimitSubject, warningOfLimits } from "./bounded-limiter.js";
import { createDenials, type VerificationContext } from "./denials.js";
import { readEnvironments } from "./environments.js";
import type { Principal } from "./principal.js";
import { type RateLimitDecision, type RateLimiter, rateLimitHeaders } from "./rate-limit.js";
import { createTrials, NOTHING_DENIED, type ReportOnlyOptions } from "./report-only.js";
import type { AuthResult, VerifyOptions } from "./verifier.js";

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
  readonly storeTimeout?: Duration;
  /** Asked last, for requests that everything else allows. */
  readonly rateLimiter?: RateLimiter;
  /** Rules on trial, which deny nothing: observers are told what they would have denied. */
  readonly reportOnly?: ReportOnlyOptions;
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
  "storeTimeout",
  "rateLimiter",
  "reportOnly",
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

/**
 * The parts that every verifier is put together from: it reads the credential, and writes the decision down.
 * What lies between is the verifier's own.
 */
export interface VerifierBase<S extends string> {
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
  readonly limit: (
    holder: RateLimitSubject,
    request: AuthRequest,
  ) => Awaitable<RateLimitDecision | undefined>;
  /** Takes a request in. */
  readonly begin: (
    request: AuthRequest,
    required: Requirement<S> | undefined,
    options?: VerifyOptions<S>,
  ) => VerificationContext<S>;
  /** Lets it through, and tells the observers. */
  readonly allow: (
    attempt: VerificationContext<S>,
    principal: Principal<S>,
    limited?: RateLimitDecision,
    headers?: Readonly<Record<string, string>>,
  ) => AuthResult<S>;
  /** Refuses it, and tells the observers. */
  readonly deny: (
    attempt: VerificationContext<S>,
    reason: DenialReason,
    limited?: RateLimitDecision,
  ) => AuthResult<S>;
  /** Tells the observers that it could not be judged. */
  readonly fail: (attempt: VerificationContext<S>, error: unknown) => void;
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});

/**
 * Checks the options that every verifier has, and makes its kit; for verifiers of credentials of another kind.
 * Options of your own have to be checked before, with `checkOptions`.
 *
 * @throws TypeError for options that are missing or cannot work, naming the option.
 */
export function createVerifierBase<S extends string>(
  options: CommonVerifierOptions<S>,
  { where, noun, environments, exposeKeyState = false }: VerifierKind,
): VerifierBase<S> {
  const { scopes, clock, observers: given = [], rateLimiter } = options;
  checkMethods(where, "scopes", scopes, ["holds", "get", "assertRequirement"]);
  checkFunction(where, "clock", clock);
  checkObservers(where, given);
  rejectUndefined(where, options, "reportOnly");
  if (rateLimiter !== undefined) checkMethods(where, "rateLimiter", rateLimiter, ["consume"]);
  const timeoutMs = readDuration(where, "storeTimeout", options.storeTimeout ?? "250ms");
  const source = credentialSource(options.credential);
  const refusals = createDenials(scopes, {
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

  const trials = createTrials(options.reportOnly ?? {}, {
    where,
    scopes,
    clientIp,
    timeoutMs,
  });
  const tried = options.reportOnly !== undefined;
  const warnOfSilence = warningOfSilence(where);
  if (tried && !observed) warnOfSilence();

  const factsOf = (attempt: VerificationContext<S>): RequestFacts & Partial<KeyIdentity> => {
    const { request, requirement: required, startedAt: began = 0 } = attempt;
    const names = Object.freeze([...requiredScopes(required)]);
    return {
      at: new Date(now()),
      requestId: resolveRequestId(request),
      method: request.method,
      path: pathOf(request),
      clientIp: clientIp(request)?.text,
      requiredScopes: names,
      audit: names.some((name) => scopes.get(name)?.audit === true),
      durationMs: performance.now() - began,
      ...identity(attempt),
    };
  };

  return {
    scopes,
    timeoutMs,
    observers,
    now,
    credential: (request) => extractCredential(request, source),
    serves: readEnvironments(where, options.environment, environments ?? []),
    clientIp,
    limit:
      rateLimiter === undefined
        ? warningOfLimits()
        : boundedLimiter(rateLimiter, timeoutMs, "The rate limiter"),

    // Only an attempt that will be told about needs an id: its events, and the principal, name the same one.
    begin(request, required, verifying) {
      const reportOnly = verifying === undefined ? undefined : readTrial(scopes, verifying);
      if (observed) {
        return {
          request: withRequestId(request, resolveRequestId(request)),
          requirement: required,
          reportOnly,
          startedAt: performance.now(),
          subject: undefined,
        };
      }
      if (reportOnly !== undefined) warnOfSilence();
      return { request, requirement: required, subject: undefined };
    },

    allow(attempt, principal, limited, headers = NO_HEADERS) {
      if (observed) {
        const { id: keyId, ownerId, environment } = principal;
        const isKey = attempt.subject?.isKey !== false;
        const facts = {
          ...factsOf(attempt),
          type: "auth.allowed",
          keyId,
          ownerId,
          environment,
          isKey,
        } as const;
        const told = (wouldDeny: readonly DenialReason[]) => emit(observers, { ...facts, wouldDeny });
        const { at } = facts;
        const failed = (error: StoreError) =>
          emit(observers, { type: "background.failed", at: new Date(at), task: "report-only", keyId, error });
        if (tried || attempt.reportOnly !== undefined) trials(attempt, principal, told, failed);
        else told(NOTHING_DENIED);
      }
      return {
        ok: true,
        principal,
        headers: limited === undefined ? headers : { ...headers, ...rateLimitHeaders(limited) },
      };
    },

    deny(attempt, reason, limited) {
      const error = refusals(attempt, reason, limited);
      if (observed) emit(observers, { ...factsOf(attempt), type: "auth.denied", code: error.code, reason });
      return { ok: false, error };
    },

    fail(attempt, error) {
      if (observed) emit(observers, { ...factsOf(attempt), type: "auth.failed", error });
    },
  };
}

/** What is on trial, of a verifier or of a route, is for observers only. */
function warningOfSilence(where: string): () => void {
  let warned = false;
  return () => {
    if (warned) return;
    warned = true;
    warn("KEYBEARER_REPORT_ONLY", `${where}: "reportOnly" tells nobody, because there are no "observers"`);
  };
}

function readTrial<S extends string>(
  scopes: Scopes<S>,
  options: VerifyOptions<S>,
): Requirement<S> | undefined {
  const { reportOnly } = checkOptions("verify", options, ["reportOnly"]);
  scopes.assertRequirement(reportOnly);
  return reportOnly;
}

function identity({ subject: holder }: VerificationContext<string>): Partial<KeyIdentity> {
  if (holder === undefined) return {};
  const { id: keyId, ownerId, environment, isKey = true } = holder;
  return { keyId, ownerId, environment: environment ?? undefined, isKey };
}
