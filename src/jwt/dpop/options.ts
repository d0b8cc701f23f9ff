import { type Duration, readDuration } from "../../internal/duration.js";
import { checkMethods, checkOptions, rejectUndefined } from "../../internal/validate.js";
import { warn } from "../../internal/warn.js";
import { createNonces } from "./nonces.js";
import { createProofs, MAX_AHEAD_MS, type Proofs } from "./proofs.js";
import { memoryReplays, type ReplayStore } from "./replays.js";
import { createTargetMatcher } from "./target-uri.js";

/** How DPoP proofs are checked (RFC 9449). */
export interface DpopOptions {
  /**
   * The public origin of this service, `htu` without the path of the request: `"https://api.example.com"`, or an array.
   * If a proxy removes a prefix of the path, the origin ends with it.
   */
  readonly origin: string | readonly string[];
  /**
   * The proofs that were used, shared by every process that accepts the tokens. `"per-process"`: in the memory of this
   * process; a proof can be used once in each. It is the default, but then emits the process warning
   * `KEYBEARER_LOCAL_REPLAYS`.
   */
  readonly replays?: ReplayStore | "per-process";
  /** The maximum age of a proof, by its `iat`: `"1m"` by default, at most `"5m"`. */
  readonly maxAge?: Duration;
  /**
   * A secret of at least 32 bytes, the same in every process. If set, proofs need a nonce of the server, which is at most
   * 5 minutes old. The first secret of an array creates nonces, and all are accepted. No nonces by default.
   */
  readonly nonceSecret?: string | readonly string[];
}

/** The names of {@link DpopOptions}. */
export const DPOP_OPTIONS: readonly (keyof DpopOptions)[] = ["origin", "replays", "maxAge", "nonceSecret"];

/** @throws TypeError if an option is unknown, missing or invalid. */
export function readProofs(
  where: string,
  given: DpopOptions,
  { timeoutMs, now }: { readonly timeoutMs: number; readonly now: () => number },
): Proofs {
  const options = checkOptions(`${where}: dpop`, given, DPOP_OPTIONS);
  for (const name of DPOP_OPTIONS) rejectUndefined(`${where}: dpop`, options, name);
  const { origin, replays, maxAge = "1m", nonceSecret } = options;
  const maxAgeMs = readDuration(where, "dpop.maxAge", maxAge, { min: "5s", max: "5m" });
  if (replays !== undefined && replays !== "per-process") {
    checkMethods(where, "dpop.replays", replays, ["use"]);
  }
  const proofs = createProofs({
    matchesTarget: createTargetMatcher(where, origin),
    nonces: nonceSecret === undefined ? undefined : createNonces(where, nonceSecret, now),
    replays: typeof replays === "object" ? replays : memoryReplays(now, maxAgeMs + MAX_AHEAD_MS),
    maxAgeMs,
    timeoutMs,
    now,
  });
  if (replays === undefined) {
    warn(
      "KEYBEARER_LOCAL_REPLAYS",
      `${where}: a DPoP proof can be used once in each process. Pass a shared store as "dpop.replays", or "per-process" if there is one process`,
    );
  }
  return proofs;
}
