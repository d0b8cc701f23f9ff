import type { Awaitable } from "../../internal/awaitable.js";
import { readDuration } from "../../internal/duration.js";
import { resourceMetadataUrl } from "../../internal/resource-metadata-url.js";
import { checkFunction, checkMethods } from "../../internal/validate.js";
import { warnOnce } from "../../internal/warn.js";
import {
  checkObservers,
  type DenialReason,
  emit,
  type KeyIdentity,
  type Observer,
  type RequestFacts,
} from "../events.js";
import type { KeyFormat } from "../keys/format.js";
import { meets } from "../keys/requirement.js";
import type { Scopes } from "../keys/scopes.js";
import { type ClientIpResolver, clientIpResolver } from "../requests/client-ip.js";
import {
  type CredentialFault,
  type CredentialSource,
  credentialSource,
  extractCredential,
} from "../requests/credential.js";
import { type AuthRequest, pathOf, withRequestId } from "../requests/request.js";
import type { AuthResult, VerifierCredential } from "./api.js";
import { COMMON_VERIFIER_OPTIONS, type CommonVerifierOptions } from "./common-options.js";
import type { VerificationContext } from "./context.js";
import { createDenials } from "./denials.js";
import { readEnvironments } from "./environments.js";
import type { Principal } from "./principal.js";
import {
  boundedLimiter,
  type RateLimitDecision,
  type RateLimitSubject,
  rateLimitHeaders,
  warnOfMissingLimiter,
} from "./rate-limit.js";
import { withSettings } from "./settings.js";

/** The properties of one kind of verifier. */
export interface VerifierKind {
  /** The name of the function that creates the verifier, for error messages. */
  readonly where: string;
  /** The name of its credentials in messages to clients, such as `API key`. */
  readonly noun: string;
  /** The type of its credentials; `"api_key"` by default. */
  readonly type?: VerifierCredential["type"];
  /** All environments, if they are known: `environment` must be one of them. */
  readonly environments?: readonly string[] | undefined;
  /** The formats of its secrets, if they are known. */
  readonly formats?: readonly KeyFormat[];
  /** Further credentials, which the caller reads. A request without a credential receives their challenges. */
  readonly otherCredentials?: readonly VerifierCredential[];
  /** The algorithms of DPoP proofs, separated by spaces, if the credential is sent with the scheme DPoP. */
  readonly algs?: string;
  /** Whether messages say that a key is revoked, disabled or expired. `false` by default. */
  readonly exposeKeyState?: boolean | undefined;
}

/** The parts that verifiers are built from: they read the credential, apply limits, create results and emit events. */
export interface VerifierBase<S extends string> {
  readonly scopes: Scopes<S>;
  readonly timeoutMs: number;
  readonly observers: readonly Observer[];
  readonly credentials: readonly VerifierCredential[];
  /** Returns the current time in milliseconds since 1970. */
  readonly now: () => number;
  /** Where the credential of a request is. */
  readonly source: CredentialSource;
  /** Extracts the credential of a request. */
  readonly credential: (request: AuthRequest) => string | CredentialFault;
  /** Whether this service serves an environment; `undefined`, no environment, is always served. */
  readonly serves: (environment: string | undefined) => boolean;
  readonly clientIp: ClientIpResolver;
  /** Calls the rate limiter within the time limit; returns `undefined` without one. */
  readonly limit: (
    subject: RateLimitSubject,
    request: AuthRequest,
  ) => Awaitable<RateLimitDecision | undefined>;
  /** Prepares a context for events. `createVerifierFrom` calls it. */
  readonly begin: (context: VerificationContext<S>) => void;
  /** Creates the result of an allowed request and emits `auth.allowed`. */
  readonly allow: (
    context: VerificationContext<S>,
    principal: Principal<S>,
    limited?: RateLimitDecision,
    headers?: Readonly<Record<string, string>>,
  ) => AuthResult<S>;
  /** Creates the result of a denied request and emits `auth.denied`. */
  readonly deny: (
    context: VerificationContext<S>,
    reason: DenialReason,
    limited?: RateLimitDecision,
  ) => AuthResult<S>;
  /** Emits `auth.failed`; `undefined` without observers. `createVerifierFrom` calls it. */
  readonly fail: ((context: VerificationContext<S>, error: unknown) => void) | undefined;
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});
const NO_REASONS: readonly DenialReason[] = Object.freeze([]);
const INSUFFICIENT_SCOPE: readonly DenialReason[] = Object.freeze(["insufficient_scope"] as const);

/**
 * Creates the base of a verifier from the options that all verifiers share. Check the names of your own options first,
 * with `checkOptions`.
 *
 * @throws TypeError if an option is missing or invalid; the message names the option.
 */
export function createVerifierBase<S extends string>(
  options: CommonVerifierOptions<S>,
  { where, noun, type = "api_key", environments = [], formats = [], ...kind }: VerifierKind,
): VerifierBase<S> {
  const { scopes, clock, rateLimiter, observers: givenObservers = [] } = options;
  const { realm = "api", storeTimeout = "250ms" } = options;
  const { exposeKeyState = false, algs, otherCredentials = [] } = kind;
  checkMethods(where, "scopes", scopes, ["holds", "get", "assertRequirement"]);
  checkFunction(where, "clock", clock);
  checkObservers(where, givenObservers);
  if (rateLimiter !== undefined) checkMethods(where, "rateLimiter", rateLimiter, ["consume"]);
  const timeoutMs = readDuration(where, "storeTimeout", storeTimeout);
  const source = credentialSource(options.credential);
  const resourceMetadata = readResource(where, options.resource);
  const others = otherCredentials.map((credential) =>
    credential.challenge === undefined || resourceMetadata === undefined
      ? credential
      : { ...credential, challenge: `${credential.challenge}, ${resourceMetadata}` },
  );
  const otherChallenges = others.flatMap(({ challenge = [] }) => challenge);
  const wording = { where, noun, source, realm, exposeKeyState, algs, resourceMetadata, otherChallenges };
  const createError = createDenials(scopes, wording);
  const clientIp = clientIpResolver(options);
  const now = clock === undefined ? Date.now : () => clock().getTime();
  const observers = [...givenObservers];
  const isObserved = observers.length > 0;
  const warnUnobserved = warnOnce("KEYBEARER_REPORT_ONLY");

  const factsOf = (context: VerificationContext<S>): RequestFacts => {
    const { request, route, startedAt, requestId } = context;
    return {
      at: new Date(now()),
      requestId,
      method: request.method,
      path: pathOf(request),
      clientIp: clientIp(request)?.text,
      requiredScopes: route.requiredScopes,
      audit: route.requiredScopes.some((name) => scopes.get(name)?.audit === true),
      durationMs: performance.now() - startedAt,
    };
  };

  const base: VerifierBase<S> = {
    scopes,
    timeoutMs,
    observers,
    credentials: Object.freeze([Object.freeze({ type, ...options.credential }), ...others]),
    now,
    source,
    credential: (request) => extractCredential(request, source),
    serves: readEnvironments(where, options.environment, environments),
    clientIp,
    limit:
      rateLimiter === undefined
        ? warnOfMissingLimiter()
        : boundedLimiter(rateLimiter, timeoutMs, "The rate limiter"),

    begin(context) {
      if (isObserved) {
        context.startedAt = performance.now();
        context.request = withRequestId(context.request, context.requestId);
      } else if (context.route.reportOnly !== undefined) {
        warnUnobserved(`${where}: "reportOnly" has no effect without "observers"`);
      }
    },

    allow(context, principal, limited, headers = NO_HEADERS) {
      if (isObserved) {
        const { id: keyId, ownerId, environment } = principal;
        const { subject, route } = context;
        emit(observers, {
          ...factsOf(context),
          type: "auth.allowed",
          keyId,
          ownerId,
          environment,
          isKey: subject?.isKey !== false,
          wouldDeny: meets(scopes, subject?.scopes ?? [], route.reportOnly) ? NO_REASONS : INSUFFICIENT_SCOPE,
        });
      }
      return {
        ok: true,
        principal,
        headers: limited === undefined ? headers : { ...headers, ...rateLimitHeaders(limited) },
      };
    },

    deny(context, reason, limited) {
      const error = createError(context, reason, limited);
      if (isObserved) {
        const facts = { ...factsOf(context), ...identityOf(context) };
        emit(observers, { ...facts, type: "auth.denied", code: error.code, reason });
      }
      return { ok: false, error };
    },

    fail: isObserved
      ? (context, error) =>
          emit(observers, { ...factsOf(context), ...identityOf(context), type: "auth.failed", error })
      : undefined,
  };
  const inherited = COMMON_VERIFIER_OPTIONS.filter(
    (name) => name !== "credential" && Object.hasOwn(options, name),
  ).map((name) => [name, name === "observers" ? observers : options[name]]);
  return withSettings(base, { options: Object.fromEntries(inherited), formats, wrap: (one) => one });
}

/** Returns the parameter of challenges that names the metadata of the API. */
function readResource(where: string, resource: string | undefined): string | undefined {
  return resource === undefined
    ? undefined
    : `resource_metadata="${resourceMetadataUrl(where, resource).href}"`;
}

function identityOf({ subject }: VerificationContext<string>): Partial<KeyIdentity> {
  if (subject === undefined) return {};
  const { id: keyId, ownerId, environment, isKey = true } = subject;
  return { keyId, ownerId, environment: environment ?? undefined, isKey };
}
