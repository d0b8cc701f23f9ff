import type { Context } from "hono";
import type { ConnectionInfo } from "../http/handler.js";
import { headersTruncated } from "./node-request.js";
import { withAddress } from "./with-address.js";

/** What has to be said of connections where the runtime is not Node. */
export interface HonoConnectionOptions {
  /**
   * The address of the socket's other end. On Node it is known; elsewhere say where it is, such as
   * `(c) => getConnInfo(c).remote.address`. While it is unknown, keys with an allowlist are refused.
   * When it throws, or answers anything else, the request is answered with 503.
   */
  readonly remoteAddress?: (c: Context) => string | undefined;
}

/** Finds what is known of the connection that a request came over, and the id that it has. */
export function connections(
  where: string,
  remoteAddress: HonoConnectionOptions["remoteAddress"],
): (c: Context) => ConnectionInfo {
  if (remoteAddress !== undefined && typeof remoteAddress !== "function") {
    throw new TypeError(`${where}: "remoteAddress" must be a function of the context`);
  }
  return (c) => {
    const incoming = (c.env as NodeBindings | undefined)?.incoming;
    const connection = {
      rawHeaders: incoming?.rawHeaders,
      headersTruncated: incoming && headersTruncated(incoming),
      remoteAddress: incoming?.socket?.remoteAddress,
      requestId: c.get("requestId"), // of hono/request-id
    };
    return remoteAddress ? withAddress(where, connection, () => remoteAddress(c)) : connection;
  };
}

/** What @hono/node-server puts into the environment. */
interface NodeBindings {
  readonly incoming?: {
    readonly rawHeaders?: readonly string[];
    readonly socket?: { readonly remoteAddress?: string };
  };
}
