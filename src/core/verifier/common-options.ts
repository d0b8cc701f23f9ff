import type { Duration } from "../../internal/duration.js";
import type { Observer } from "../events.js";
import type { Scopes } from "../keys/scopes.js";
import type { ClientIpOptions } from "../requests/client-ip.js";
import type { CredentialOptions } from "../requests/credential.js";
import type { RateLimiter } from "./rate-limit.js";

/** Options of every verifier, independent of the kind of its credentials. */
export interface CommonVerifierOptions<S extends string = string, E extends string = string>
  extends ClientIpOptions {
  /** The scopes that routes may require, from `defineScopes`. */
  readonly scopes: Scopes<S>;
  /** The environment or environments of this service. Keys of other environments are denied. All by default. */
  readonly environment?: NoInfer<E> | readonly NoInfer<E>[];
  /** The realm in challenges. `"api"` by default. */
  readonly realm?: string;
  /**
   * The URL of the API, for OAuth clients: challenges then name the URL of its metadata (RFC 9728), which
   * `createResourceMetadata` serves. None by default.
   */
  readonly resource?: string;
  /** Returns the current time; for tests. The system clock by default. */
  readonly clock?: () => Date;
  /** The time limit of each call of the store and of the rate limiter. `"250ms"` by default. */
  readonly storeTimeout?: Duration;
  /** Counts requests that pass every other check. No limits by default. */
  readonly rateLimiter?: RateLimiter;
  /** Called with an event for every decision. None by default. */
  readonly observers?: readonly Observer[];
  /** Where clients send the credential. `Authorization: Bearer <token>` by default. */
  readonly credential?: CredentialOptions;
}

/** The names of {@link CommonVerifierOptions}, for `checkOptions`. */
export const COMMON_VERIFIER_OPTIONS: readonly (keyof CommonVerifierOptions)[] = [
  "scopes",
  "environment",
  "trustedProxies",
  "clientIpHeader",
  "missingForwardedHeader",
  "realm",
  "resource",
  "clock",
  "storeTimeout",
  "rateLimiter",
  "observers",
  "credential",
];
