import { sharedCredential } from "../http/shared-credential.js";
import { type Duration, readDuration } from "../internal/duration.js";
import { checkFunction, checkOptions } from "../internal/validate.js";
import { cidrProblem, compileCidrs, createGuard, type GuardOptions, parseIp, type Verifier } from "../kit.js";
import { createKeySet } from "../oauth/key-set.js";
import type { SigningKey } from "../oauth/signing-key.js";
import type { Assertions } from "./identity.js";
import { type GatewayProxy, PROXIES } from "./proxies.js";
import { compileRoutes, type Decide, type GatewayRoute } from "./routes.js";

const WHERE = "createForwardAuth";

/** Options of {@link createForwardAuth}. */
export interface ForwardAuthOptions<S extends string = string> {
  /**
   * Verifies the requests. Its `trustedProxies` name the proxy, so that the client address is that of the proxy's client.
   */
  readonly verifier: Verifier<S>;
  /** Which proxy asks. Only its headers are read. */
  readonly proxy: GatewayProxy;
  /** The routes, in order. A request that matches none is denied. */
  readonly routes: readonly GatewayRoute<S>[];
  /** The networks from which the proxy asks. Required without `token`. */
  readonly peers?: readonly string[];
  /** What the proxy sends in `X-Gateway-Token`: at least 16 characters. Required without `peers`. */
  readonly token?: string;
  /** What Envoy puts before the path, its `path_prefix`. None by default. */
  readonly pathPrefix?: string;
  /** Adds the signed header `X-Auth-Assertion`, which no client can forge. None by default. */
  readonly assertion?: AssertionOptions;
  /** Called with errors that a client sees as 503. Without it, the first one is a process warning. */
  readonly onError?: GuardOptions["onError"];
  /** Returns the current time; for tests. The system clock by default. */
  readonly clock?: () => Date;
}

/** How the header `X-Auth-Assertion` is made: a JWT about one request. */
export interface AssertionOptions {
  /** `iss` of the JWT: the URL of this service. */
  readonly issuer: string;
  /** `aud` of the JWT: the backend. */
  readonly audience: string;
  /** The private key that signs, or several of which the first one signs. */
  readonly signingKey: SigningKey | readonly SigningKey[];
  /** How long a JWT is valid. `"30s"` by default. */
  readonly ttl?: Duration;
}

/** The checked options. */
export interface PreparedGateway<S extends string> {
  readonly proxy: GatewayProxy;
  readonly pathPrefix: string;
  readonly decisionFor: (method: string, path: string) => Decide<S>;
  /** Whether a request comes from the proxy. */
  readonly isProxy: (remoteAddress: string | undefined, token: string | null) => boolean;
  readonly assertions: Assertions | undefined;
  readonly onError: GuardOptions["onError"] | undefined;
  readonly now: () => number;
}

/** @throws TypeError if an option is unknown, missing or invalid. */
export function prepareGateway<S extends string>(given: ForwardAuthOptions<S>): PreparedGateway<S> {
  const options = checkOptions(WHERE, given, [
    "verifier",
    "proxy",
    "routes",
    "peers",
    "token",
    "pathPrefix",
    "assertion",
    "onError",
    "clock",
  ]);
  const { verifier, proxy, routes, peers, token, pathPrefix = "", onError, clock } = options;
  if (!PROXIES.includes(proxy)) {
    throw new TypeError(`${WHERE}: "proxy" must be one of ${PROXIES.map((name) => `"${name}"`).join(", ")}`);
  }
  if (typeof pathPrefix !== "string" || !/^(?:\/[\w.~-]+)*$/.test(pathPrefix)) {
    throw new TypeError(`${WHERE}: "pathPrefix" must be a path without a slash at its end`);
  }
  if (pathPrefix !== "" && proxy !== "envoy") {
    throw new TypeError(`${WHERE}: "pathPrefix" has an effect for "envoy" only`);
  }
  if (peers === undefined && token === undefined) {
    throw new TypeError(
      `${WHERE}: "peers" or "token" is required, because anyone else could ask which keys are valid`,
    );
  }
  checkFunction(WHERE, "clock", clock);
  const guard = createGuard(verifier, onError === undefined ? {} : { onError });
  const now = () => (clock?.() ?? new Date()).getTime();
  return {
    proxy,
    pathPrefix,
    decisionFor: compileRoutes(WHERE, routes, (requirement) =>
      requirement === undefined ? guard() : guard(requirement),
    ),
    isProxy: createPeerCheck(peers, token),
    onError,
    assertions: options.assertion && readAssertions(options.assertion, now),
    now,
  };
}

function createPeerCheck(
  peers: readonly string[] | undefined,
  token: string | undefined,
): PreparedGateway<string>["isProxy"] {
  const problem = peers?.map(cidrProblem).find((found) => found !== undefined);
  if (peers !== undefined && (!Array.isArray(peers) || peers.length === 0 || problem !== undefined)) {
    throw new TypeError(
      `${WHERE}: "peers" must be a non-empty array of networks${problem ? `: ${problem}` : ""}`,
    );
  }
  const networks = peers && compileCidrs(peers);
  const isToken = token === undefined ? () => true : sharedCredential(`${WHERE}: "token"`, token);
  return (remoteAddress, sent) => {
    if (networks !== undefined) {
      const ip = remoteAddress === undefined ? undefined : parseIp(remoteAddress);
      if (ip === undefined || !networks.includes(ip)) return false;
    }
    return isToken(sent);
  };
}

function readAssertions(given: AssertionOptions, now: () => number): Assertions {
  const where = `${WHERE}: "assertion"`;
  const {
    issuer,
    audience,
    signingKey,
    ttl = "30s",
  } = checkOptions(where, given, ["issuer", "audience", "signingKey", "ttl"]);
  for (const [name, value] of Object.entries({ issuer, audience })) {
    if (typeof value !== "string" || value === "") {
      throw new TypeError(`${where}: "${name}" must be a non-empty string`);
    }
  }
  const ttlMs = readDuration(where, "ttl", ttl, { min: "1s", max: "10m" });
  return { issuer, audience, ttlMs, keys: createKeySet(where, signingKey, now) };
}
