import type { IncomingMessage } from "node:http";
import type { Context } from "hono";
import type { ConnectionInfo } from "../http/handler.js";
import { rejectPromise } from "../internal/awaitable.js";
import { checkFunction, describe } from "../internal/validate.js";
import { headersTruncated } from "./node-request.js";

/**
 * Defines a `remoteAddress` getter that calls the host's function once, when the address is first read. If the
 * function fails, it fails inside the guard or handler that reads the address, which responds with 503.
 */
export function withRemoteAddress<T extends object>(
  where: string,
  target: T,
  readAddress: () => unknown,
): T & { readonly remoteAddress: string | undefined } {
  let result: { readonly address: string | undefined } | undefined;
  const get = () => {
    result ??= { address: checkAddress(where, readAddress()) };
    return result.address;
  };
  Object.defineProperty(target, "remoteAddress", { get, enumerable: true });
  return target as T & { readonly remoteAddress: string | undefined };
}

function checkAddress(where: string, address: unknown): string | undefined {
  if (typeof address === "string" || address === undefined) return address;
  if (address === null) return undefined; // Headers.get() returns null
  rejectPromise(`${where}: "remoteAddress"`, address);
  throw new TypeError(
    `${where}: "remoteAddress" must return a string or undefined; received ${describe(address)}`,
  );
}

/** Returns a function that reads the connection of a Hono context, and the id of `hono/request-id`. */
export function honoConnection(
  where: string,
  readAddress: ((c: Context) => unknown) | undefined,
): (c: Context) => ConnectionInfo {
  checkFunction(where, "remoteAddress", readAddress);
  return (c) => {
    // Set by @hono/node-server.
    const { incoming } = (c.env ?? {}) as { readonly incoming?: Partial<IncomingMessage> };
    const connection = {
      rawHeaders: incoming?.rawHeaders,
      headersTruncated: incoming && headersTruncated(incoming),
      remoteAddress: incoming?.socket?.remoteAddress,
      requestId: c.get("requestId"),
    };
    return readAddress ? withRemoteAddress(where, connection, () => readAddress(c)) : connection;
  };
}
