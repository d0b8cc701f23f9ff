import { type Awaitable, isPromiseLike } from "../../internal/awaitable.js";
import {
  checkFunction,
  checkMethods,
  checkOptions,
  describe,
  rejectUndefined,
} from "../../internal/validate.js";
import { StoreError } from "../errors.js";
import type { DenialReason } from "../events.js";
import type { ApiKey } from "../keys/record.js";
import { meets, type Scopes } from "../keys/scopes.js";
import { cidrProblem } from "../requests/cidr.js";
import type { ClientIpResolver } from "../requests/client-ip.js";
import type { AuthRequest } from "../requests/request.js";
import { toStoreError } from "../store-calls.js";
import { boundedLimiter } from "./bounded-limiter.js";
import { checkNetwork } from "./checks.js";
import type { VerificationContext } from "./denials.js";
import type { Principal } from "./principal.js";
import type { RateLimiter } from "./rate-limit.js";

/** Whom a rule on trial is asked about: a key as everybody may see it, or the little that a token says. */
export type TriedKey = Pick<ApiKey, "id" | "ownerId" | "environment" | "scopes"> & Partial<ApiKey>;

/**
 * Rules on trial. They are judged for every request that is let through, and deny none: what they would have denied
 * is in `wouldDeny` of `auth.allowed`. One that fails is told as `background.failed`, with the task `report-only`.
 *
 * @example
 * const reportOnly = { ipAllowlist: ({ ownerId }) => networks.get(ownerId), rateLimiter: createRateLimiter({ windows }) };
 * const verifier = createVerifier({ store, scopes, format, observers, reportOnly });
 */
export interface ReportOnlyOptions {
  /**
   * The allowlist that a key would have; `undefined` for none. It is asked while the request waits, so it should
   * answer from memory; a list that is frozen, and the same each time, is compiled once.
   */
  readonly ipAllowlist?: (key: TriedKey) => readonly string[] | undefined;
  /** Counts the requests that are let through. None waits for it, and no response has its headers. */
  readonly rateLimiter?: RateLimiter;
}

/**
 * Judges what is on trial for one request, and tells what would have been denied, at once or when the limiter has
 * answered; before that, each rule that could not be judged. Never throws.
 */
export type Trials<S extends string> = (
  attempt: VerificationContext<S>,
  principal: Principal<S>,
  told: (wouldDeny: readonly DenialReason[]) => void,
  onFailure: (error: StoreError) => void,
) => void;

/** What the trials of a verifier need of it. */
export interface TrialCourt<S extends string> {
  readonly where: string;
  readonly scopes: Scopes<S>;
  readonly clientIp: ClientIpResolver;
  readonly timeoutMs: number;
}

/** The list of who would have been denied nothing. */
export const NOTHING_DENIED: readonly DenialReason[] = Object.freeze([]);

// Nobody waits for a limiter on trial, so nothing else bounds what waits for one that hangs.
const MAX_AT_ONCE = 1_000;
const LIMITER = "The rate limiter on trial";
const RULES = ["ipAllowlist", "rateLimiter"] as const;

/**
 * Makes the trials of a verifier: of the rules that it has on trial for every request, and of a route's.
 * Each rule is judged by itself, as if it alone were to be enforced.
 *
 * @throws TypeError for options that are unknown or cannot work.
 */
export function createTrials<S extends string>(
  given: ReportOnlyOptions,
  { where, scopes, clientIp, timeoutMs }: TrialCourt<S>,
): Trials<S> {
  const inside = `${where}: "reportOnly"`;
  const options = checkOptions(inside, given, RULES);
  for (const name of RULES) rejectUndefined(inside, options, name);
  const { ipAllowlist, rateLimiter } = options;
  checkFunction(where, "reportOnly.ipAllowlist", ipAllowlist);
  if (rateLimiter !== undefined) checkMethods(where, "reportOnly.rateLimiter", rateLimiter, ["consume"]);
  const networkOf = ipAllowlist && networkRule(ipAllowlist);
  const refuses = rateLimiter && limitRule(rateLimiter, timeoutMs);

  return (attempt, principal, told, onFailure) => {
    const attempted = <T>(what: string, judge: () => T): T | undefined => {
      try {
        return judge();
      } catch (error) {
        onFailure(toStoreError(error, what));
        return undefined;
      }
    };
    const { request, reportOnly, subject: holder } = attempt;
    const network =
      networkOf &&
      attempted("The allowlist on trial", () => checkNetwork(networkOf(keyOf(principal)), request, clientIp));
    const meeting = attempted("The requirement on trial", () =>
      meets(scopes, holder?.scopes ?? [], reportOnly),
    );
    const limiting = refuses && attempted(LIMITER, () => refuses(keyOf(principal), request));

    const close = (limited: boolean | undefined) =>
      told(verdict(network, meeting === false, limited === true));
    if (!isPromiseLike(limiting)) return close(limiting);
    limiting.then(close, (error: unknown) => {
      onFailure(toStoreError(error, LIMITER));
      close(undefined);
    });
  };
}

/** Whether a limiter would refuse a request. */
function limitRule(limiter: RateLimiter, timeoutMs: number) {
  const limit = boundedLimiter(limiter, timeoutMs, LIMITER);
  let underWay = 0;
  return (key: TriedKey, request: AuthRequest): Awaitable<boolean> => {
    if (underWay >= MAX_AT_ONCE) throw new StoreError(`${LIMITER} is too slow to be asked`);
    const limiting = limit(key, request);
    if (!isPromiseLike(limiting)) return !limiting.allowed;
    underWay += 1;
    return Promise.resolve(limiting)
      .then(({ allowed }) => !allowed)
      .finally(() => {
        underWay -= 1;
      });
  };
}

/** In the order of a decision. */
function verdict(
  network: DenialReason | undefined,
  scope: boolean,
  limited: boolean,
): readonly DenialReason[] {
  if (network === undefined && !scope && !limited) return NOTHING_DENIED;
  return Object.freeze([
    ...(network === undefined ? [] : [network]),
    ...(scope ? (["insufficient_scope"] as const) : []),
    ...(limited ? (["rate_limited"] as const) : []),
  ]);
}

function keyOf({ key, id, ownerId, environment, scopes }: Principal): TriedKey {
  return key ?? Object.freeze({ id, ownerId, environment: environment ?? null, scopes });
}

/** A list with a mistake in it cannot be enforced; that must not look like a denial. */
function networkRule(ipAllowlist: NonNullable<ReportOnlyOptions["ipAllowlist"]>) {
  const readable = new WeakSet<object>();
  return (key: TriedKey): { readonly ipAllowlist?: readonly string[] } => {
    const list: unknown = ipAllowlist(key);
    if (list === undefined) return {};
    if (!Array.isArray(list)) {
      if (isPromiseLike(list)) list.then(undefined, () => {}); // a rejection that nobody handles ends the process
      throw new StoreError(`The allowlist on trial must be a list or undefined, got ${describe(list)}`);
    }
    const index = readable.has(list) ? -1 : list.findIndex((entry) => cidrProblem(entry) !== undefined);
    if (index >= 0)
      throw new StoreError(`The allowlist on trial: entry ${index} ${cidrProblem(list[index])}`);
    if (Object.isFrozen(list)) readable.add(list);
    return { ipAllowlist: list };
  };
}
