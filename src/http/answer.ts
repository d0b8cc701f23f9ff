/**
 * A JSON response as every handler of this package sends it: not to be stored by caches, with the request id,
 * and without a body in the answer to HEAD.
 */
export function answerJson(
  request: Request,
  requestId: string,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const text = JSON.stringify(body);
  return new Response(request.method === "HEAD" ? null : text, {
    status,
    headers: {
      "Cache-Control": "no-store",
      "Content-Type": "application/json",
      "Content-Length": String(Buffer.byteLength(text)),
      "X-Request-Id": requestId,
      ...headers,
    },
  });
}
