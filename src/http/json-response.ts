/**
 * Creates the JSON response that every handler of this package sends: with the request id, `Cache-Control: no-store`,
 * and without a body for HEAD.
 *
 * @throws RangeError if `status` is not the status of a final response.
 * @throws TypeError if a header cannot be sent.
 */
export function jsonResponse(
  request: Request,
  requestId: string,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const json = JSON.stringify(body);
  // Checked here, because some servers replace the global `Response` by one that reads its arguments when it is sent.
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw new RangeError("The status of a response must be an integer from 200 to 599");
  }
  const allHeaders = new Headers({
    "Cache-Control": "no-store",
    "Content-Type": "application/json",
    "Content-Length": String(Buffer.byteLength(json)),
    "X-Request-Id": requestId,
    ...headers,
  });
  return new Response(request.method === "HEAD" ? null : json, { status, headers: allHeaders });
}
