import { rejectPromise } from "../internal/awaitable.js";
import { describe } from "../internal/validate.js";

/**
 * Gives a request, or what is known of its connection, an address that is asked for once, and by whoever judges it:
 * so that a failure is told and answered like every other, with 503.
 */
export function withAddress<T extends object>(
  where: string,
  target: T,
  ask: () => unknown,
): T & { readonly remoteAddress: string | undefined } {
  let answer: { readonly address: string | undefined } | undefined;
  const get = () => {
    answer ??= { address: checkedAddress(where, ask()) };
    return answer.address;
  };
  return Object.defineProperty(target, "remoteAddress", { get, enumerable: true }) as ReturnType<
    typeof withAddress<T>
  >;
}

/** A promise of an address must not pass for an address that is unknown. */
function checkedAddress(where: string, address: unknown): string | undefined {
  if (typeof address === "string" || address === undefined) return address;
  if (address === null) return undefined; // what Headers answers
  rejectPromise(`${where}: "remoteAddress"`, address);
  throw new TypeError(`${where}: "remoteAddress" must answer a text or undefined, got ${describe(address)}`);
}
