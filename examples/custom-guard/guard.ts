import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import {
  createGuard,
  type GuardArguments,
  type GuardOptions,
  type Principal,
  pathnameOf,
  type Verifier,
} from "keybearer/kit";

/** Handles an allowed request. Add `headers` to the response. `auth` is `undefined` only on optional routes. */
export type StreamHandler<S extends string> = (
  stream: ServerHttp2Stream,
  context: { readonly auth: Principal<S> | undefined; readonly headers: Readonly<Record<string, string>> },
) => unknown;

/** A listener of the server's event `stream`. The types of Node lack `rawHeaders`. */
export type StreamListener = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: readonly string[],
) => Promise<unknown>;

/** Creates guards for streams of `node:http2`: `http2Auth(verifier)("vehicles:read")(handler)`. */
export function http2Auth<S extends string>(verifier: Verifier<S>, options?: GuardOptions) {
  const guard = createGuard(verifier, options);
  return (...route: GuardArguments<S>) => {
    const check = guard(...route); // throws at start-up if the requirement is invalid
    return (handler: StreamHandler<S>): StreamListener =>
      async (stream, headers, _flags, rawHeaders) => {
        const outcome = await check({
          headers,
          rawHeaders, // shows a second Authorization header, which `headers` does not
          remoteAddress: stream.session?.socket.remoteAddress,
          method: headers[":method"],
          path: pathnameOf(headers[":path"] ?? "/"), // without the query
        });
        if (stream.destroyed) return; // the client cancelled the request
        if (outcome.pass) return handler(stream, { auth: outcome.principal, headers: outcome.headers });
        const { denial } = outcome;
        stream.respond({ ":status": denial.status, ...denial.headers });
        if (!stream.writableEnded) stream.end(denial.body); // a response to HEAD ends with its headers
      };
  };
}
