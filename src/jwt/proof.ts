import { hash } from "node:crypto";
import type { Awaitable } from "../internal/awaitable.js";
import type { DenialReason } from "../kit.js";
import { ask, inThreads } from "./ask.js";
import { type ClaimRules, type JwtClaims, judgeClaims } from "./claims.js";
import { type HeaderRules, MAX_CHARACTERS, readHeader, type TokenHeader } from "./header.js";
import { freezeJson, parseObject } from "./json.js";
import type { KeySource } from "./keys.js";
import { verifiedPayload } from "./signature.js";
import { type Binding, bindingOf, type JwtSubject, type Subject, subjectOf } from "./subject.js";
import { createTokenCache } from "./token-cache.js";

/** What a token has proven, and what does not change as long as it works: its signature is right. */
export interface Proof {
  readonly claims: JwtClaims;
  readonly subject: Subject;
  /** Present when tokens have to be bound to a key. */
  readonly binding: Binding | undefined;
}

/** What a prover works with. */
export interface ProofRules extends HeaderRules, ClaimRules {
  readonly keysFor: KeySource;
  readonly principal: ((claims: JwtClaims) => Awaitable<JwtSubject | undefined>) | undefined;
  readonly isBound: boolean;
  readonly cacheMax: number;
  readonly timeoutMs: number;
  readonly now: () => number;
}

/**
 * What a token proves, or why it proves nothing: at once when it is remembered, else as a promise. Times are to be
 * judged after it. Fails with a StoreError only.
 */
export type Prover = (token: string) => Awaitable<Proof | DenialReason>;

/** A key that is taken out of a JWKS is out after that time, whatever was verified with it. */
const MAX_REMEMBERED_MS = 10 * 60_000;
const NO_SUBJECT: JwtSubject = Object.freeze({});

/** Only tokens that proved everything are remembered. Who brings one at the same time shares the work. */
export function createProver(rules: ProofRules): Prover {
  const { keysFor, principal, isBound, timeoutMs, tolerance, now } = rules;
  const cache = createTokenCache<Proof>(rules.cacheMax);
  const flights = new Map<string, Promise<Proof | DenialReason>>();

  const identify = async (claims: JwtClaims): Promise<Subject | undefined> => {
    if (principal === undefined) return subjectOf(claims, isBound, NO_SUBJECT);
    const said = await ask(() => principal(claims), timeoutMs, "The principal function");
    // Nobody, as databases say it too, must not become somebody by the defaults.
    return said === undefined || said === null ? undefined : subjectOf(claims, isBound, said);
  };

  const prove = async (token: string, header: TokenHeader, digest: string): Promise<Proof | DenialReason> => {
    const { keys, since } = await keysFor(header, token);
    const payload = await inThreads(verifiedPayload(token, header.alg, keys), "The check of a signature");
    const claims = payload && parseObject(payload);
    if (claims === undefined) return "invalid_token";
    const [began, time] = [performance.now(), now()];
    const flaw = judgeClaims(claims, rules, time); // before the host is asked about it
    if (flaw !== undefined) return flaw;

    const trusted = freezeJson(claims) as JwtClaims;
    const binding = isBound ? bindingOf(trusted) : undefined;
    if (isBound && binding === undefined) return "invalid_token";
    const subject = await identify(trusted);
    if (subject === undefined) return "invalid_token";
    const proof = Object.freeze({ claims: trusted, subject, binding });
    const left = (trusted.exp + tolerance) * 1_000 - time;
    cache.remember(digest, proof, Math.min(since + MAX_REMEMBERED_MS, began + left));
    return proof;
  };

  return (token) => {
    if (token.length > MAX_CHARACTERS) return "invalid_token";
    const digest = hash("sha256", token);
    const known = cache.recall(digest) ?? flights.get(digest);
    if (known !== undefined) return known;
    const header = readHeader(token, rules);
    if (header === undefined) return "invalid_token";
    const flight = prove(token, header, digest);
    flights.set(digest, flight);
    const land = () => flights.delete(digest);
    flight.then(land, land);
    return flight;
  };
}
