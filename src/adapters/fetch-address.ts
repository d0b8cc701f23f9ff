import { type ConnectionInfo, fromFetch } from "../http/handler.js";
import type { AuthRequest, GuardOptions } from "../kit.js";
import { withAddress } from "./with-address.js";

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
