import type { KeyFormat } from "../keys/format.js";
import type { Verifier } from "./api.js";
import type { CommonVerifierOptions } from "./common-options.js";

/** What a verifier enforces and observes. The verifier of tokens that are made from its keys inherits it. */
export interface VerifierSettings<S extends string = string> {
  /** Without `credential`: a token is sent as Bearer. */
  readonly options: Omit<CommonVerifierOptions<S>, "credential">;
  /** The formats of its secrets, if they are known. */
  readonly formats: readonly KeyFormat[];
  /** Adds the checks of the verifiers around it, such as `failedAuthLimiter`, to another verifier. */
  readonly wrap: (verifier: Verifier<S>) => Verifier<S>;
}

// Keyed by the verifier itself: a wrapper of the host may enforce more, which cannot be inherited.
const known = new WeakMap<object, unknown>();

/** Records the settings of a verifier or of its base, and returns it. */
export function withSettings<S extends string, T extends object>(
  target: T,
  settings: VerifierSettings<S> | undefined,
): T {
  if (settings !== undefined) known.set(target, settings);
  return target;
}

/** Returns the settings of a verifier or of its base; `undefined` for verifiers that this package did not create. */
export function settingsOf<S extends string>(target: object): VerifierSettings<S> | undefined {
  return known.get(target) as VerifierSettings<S> | undefined;
}
