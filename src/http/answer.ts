/**
 * A JSON response as every handler of this package sends it: not to be stored by caches, with the request id,
 * and without a body in the answer to HEAD.
 * @throws {RangeError} for a status that no answer has; {TypeError} for a header that cannot be sent
 */
export function answerJson(
  request: Request,
  requestId: string,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const text = JSON.stringify(body);
  // Here and now, for whoever has an error to tell: servers put a `Response` in the place of the global one that
  // reads what it was given only when it is sent.
  if (!Number.isInteger(status) || status < 200 || status > 599)
    throw new RangeError("The status of an answer is an integer from 200 to 599");
  const all = new Headers({
    "Cache-Control": "no-store",
    "Content-Type": "application/json",
    "Content-Length": String(Buffer.byteLength(text)),
    "X-Request-Id": requestId,
    ...headers,
  });
  return new Response(request.method === "HEAD" ? null : text, { status, headers: all });
}
