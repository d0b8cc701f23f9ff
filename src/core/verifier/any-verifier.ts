import { mapAwaitable } from "../../internal/awaitable.js";
import { checkMethods } from "../../internal/validate.js";
import { AuthError } from "../errors.js";
import { mayLookLikeJwt } from "../keys/format.js";
import {
  type CredentialFault,
  type CredentialSource,
  credentialSource,
  extractCredential,
} from "../requests/credential.js";
import { type AuthRequest, withRequestId } from "../requests/request.js";
import type { AuthResult, Verifier, VerifierCredential } from "./api.js";
import { type Decide, decisionOf, toVerifier } from "./decision.js";
import { settingsOf } from "./settings.js";

const WHERE = "anyVerifier";
// The form of a JWT (RFC 7519, 3): three parts of base64url. Secrets that may have dots are rejected at start-up.
const JWT = /^[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*$/;

/** A place in a request that may have a credential, and the verifiers that read it. */
interface Place<S extends string> {
  readonly source: CredentialSource;
  readonly decisions: Map<VerifierCredential["type"], Decide<S>>;
}

/**
 * Creates one verifier from several, so that a route accepts several credentials: API keys and JWTs, or credentials in
 * different headers. The request selects the verifier: by the header that it sends and, within one header, by the form
 * of the credential. A credential is never tried with more than one verifier. A request with two credentials is denied
 * as `malformed_credential`. A request without a credential receives the challenge of the first verifier, and those of
 * DPoP.
 *
 * @throws TypeError if there is no verifier, an argument is not a verifier, two verifiers accept the same credential, or
 *   API keys whose format allows dots share a header with JWTs.
 *
 * @example
 * const auth = expressAuth(anyVerifier(verifier, jwtVerifier));
 */
export function anyVerifier<S extends string>(
  ...args: readonly Verifier<S>[] | readonly [readonly Verifier<S>[]]
): Verifier<S> {
  const verifiers = readVerifiers<S>(args.length === 1 && Array.isArray(args[0]) ? args[0] : args);
  const places = readPlaces(verifiers);
  const [first] = verifiers;
  const [firstPlace] = places;
  if (first === undefined || firstPlace === undefined) {
    throw new TypeError(`${WHERE}: expected one or more verifiers; received none`);
  }
  const decideFirst = decisionOf(first);
  const addChallenges = challengesOf(verifiers.slice(1));

  const any = toVerifier<S>({
    credentials: Object.freeze(verifiers.flatMap(({ credentials = [] }) => credentials)),
    assertRequirement(requirement) {
      for (const verifier of verifiers) verifier.assertRequirement(requirement);
    },
    decide(context) {
      let selected: Decide<S> | undefined;
      for (const place of places) {
        const credential = extractCredential(context.request, place.source);
        if (isMissing(credential)) continue;
        if (selected !== undefined) {
          const request = withRequestId(context.request, context.requestId);
          context.request = repeatHeader(request, firstPlace.source.header);
          return mapAwaitable(decideFirst(context), assertDenied);
        }
        selected = select(place, credential);
      }
      return selected?.(context) ?? mapAwaitable(decideFirst(context), addChallenges);
    },
  });
  members.set(any, verifiers);
  return any;
}

// A nested verifier counts as its members, whose formats are known.
const members = new WeakMap<object, readonly unknown[]>();

function readVerifiers<S extends string>(given: readonly unknown[]): readonly Verifier<S>[] {
  for (const [index, verifier] of given.entries()) {
    const name = `verifiers[${index}]`;
    checkMethods(WHERE, name, verifier, ["verify", "assertRequirement"]);
    if ((verifier as Verifier).credentials?.length) continue;
    throw new TypeError(`${WHERE}: "${name}" must have "credentials", such as [{ type: "jwt" }]`);
  }
  return given.flatMap((verifier) => members.get(verifier as object) ?? [verifier]) as readonly Verifier<S>[];
}

function readPlaces<S extends string>(verifiers: readonly Verifier<S>[]): readonly Place<S>[] {
  const places = new Map<string, Place<S>>();
  const dotted: Place<S>[] = [];
  for (const verifier of verifiers) {
    for (const { type, challenge: _, ...options } of verifier.credentials ?? []) {
      if (type !== "api_key" && type !== "jwt") {
        throw new TypeError(`${WHERE}: the type of a credential must be "api_key" or "jwt"`);
      }
      const source = credentialSource(options);
      const id = `${source.header} ${source.scheme?.toLowerCase()}`;
      const place = places.get(id) ?? { source, decisions: new Map() };
      if (place.decisions.has(type)) {
        throw new TypeError(
          `${WHERE}: two verifiers accept credentials of type "${type}" in ${source.example}`,
        );
      }
      place.decisions.set(type, decisionOf(verifier));
      places.set(id, place);
      if (type === "api_key" && settingsOf(verifier)?.formats.some(mayLookLikeJwt)) dotted.push(place);
    }
  }
  for (const { source, decisions } of dotted) {
    if (!decisions.has("jwt")) continue;
    throw new TypeError(
      `${WHERE}: the "format" of the API keys allows dots, so some would be taken for JWTs, which are sent as ` +
        `${source.example} too; use an alphabet without ".", or another header for the keys ("credential")`,
    );
  }
  return [...places.values()];
}

function isMissing(credential: string | CredentialFault): boolean {
  return typeof credential !== "string" && credential.fault === "missing_credential";
}

/** Selects the verifier of a place. One that cannot accept the form denies the credential. */
function select<S extends string>(
  { decisions }: Place<S>,
  credential: string | CredentialFault,
): Decide<S> | undefined {
  const isJwt = typeof credential === "string" && JWT.test(credential);
  return decisions.get(isJwt ? "jwt" : "api_key") ?? decisions.values().next().value;
}

/** Adds the challenges that verifiers have for requests without a credential (RFC 9449, section 7.2). */
function challengesOf<S extends string>(verifiers: readonly Verifier<S>[]) {
  const challenges = verifiers.flatMap(({ credentials = [] }) =>
    credentials.flatMap(({ challenge = [] }) => challenge),
  );
  return (result: AuthResult<S>): AuthResult<S> => {
    if (challenges.length === 0 || result.ok || result.error.code !== "missing_credential") return result;
    const { code, message, headers, details } = result.error;
    const all = [headers["WWW-Authenticate"] ?? [], challenges].flat().join(", ");
    return {
      ok: false,
      error: new AuthError(code, message, { ...headers, "WWW-Authenticate": all }, details),
    };
  };
}

/** Adds two lines of a header, which every verifier rejects as malformed. */
function repeatHeader(request: AuthRequest, header: string): AuthRequest {
  return { ...request, rawHeaders: [...(request.rawHeaders ?? []), header, "", header, ""] };
}

/** A custom verifier may ignore `rawHeaders`. */
function assertDenied<S extends string>(result: AuthResult<S>): AuthResult<S> {
  if (result.ok) throw new TypeError(`${WHERE}: a verifier allowed a request with two credentials`);
  return result;
}
