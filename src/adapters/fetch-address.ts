import { type ConnectionInfo, fromFetch } from "../http/handler.js";
import { type AuthRequest, describe, type GuardOptions, refusePromise } from "../index.js";

/** Options of `fetchAuth`. */
export interface FetchGuardOptions extends GuardOptions {
  /**
   * The address of the socket's other end, from what the runtime gives beside the request, or from a header that
   * it writes itself. By default that of the connection that the guarded handler is told about, if it is told.
   * When it throws, or answers anything else, the request is answered with 503.
   *
   * @example
   * fetchAuth(verifier, { remoteAddress: (request) => request.headers.get("cf-connecting-ip") ?? undefined });
   */
  readonly remoteAddress?: (request: Request, ...args: readonly unknown[]) => string | undefined;
}

/** Makes of a request, and of what the runtime gave beside it, what a guard is asked. */
export function requests(
  remoteAddress: FetchGuardOptions["remoteAddress"],
): (request: Request, rest: readonly unknown[]) => AuthRequest {
  if (remoteAddress !== undefined && typeof remoteAddress !== "function") {
    throw new TypeError('fetchAuth: "remoteAddress" must be a function of the request');
  }
  return (request, rest) =>
    remoteAddress
      ? withAddress("fetchAuth", fromFetch(request), () => remoteAddress(request, ...rest))
      : fromFetch(request, (rest[0] ?? {}) as ConnectionInfo);
}

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
  refusePromise(`${where}: "remoteAddress"`, address);
  throw new TypeError(`${where}: "remoteAddress" must answer a text or undefined, got ${describe(address)}`);
}
