import type { AuthError, AuthErrorStatus } from "../errors.js";

/** The response to a denied request. Every guard sends the same bytes. */
export interface HttpDenial {
  readonly status: AuthErrorStatus;
  /** Names in lower case and alphabetical order, like those of the Fetch standard's `Headers`. */
  readonly headers: Readonly<Record<string, string>>;
  /** JSON. A response to HEAD has no body, but the same headers. */
  readonly body: string;
}

/** Reason phrases of RFC 9110, section 15, and RFC 6585, section 4. */
const TITLES: Readonly<Record<AuthErrorStatus, string>> = {
  401: "Unauthorized",
  403: "Forbidden",
  429: "Too Many Requests",
  503: "Service Unavailable",
};

/**
 * Creates the response to a denied request. The body is `{ message, code, requestId }` and the details of the error, or
 * a problem document (RFC 9457) with the same members if `accept` prefers `application/problem+json`. `members`
 * replaces these members.
 *
 * @example
 * const { status, headers, body } = toHttpDenial(result.error, requestId, request.headers.accept);
 */
export function toHttpDenial(
  error: AuthError,
  requestId: string,
  accept: string | undefined,
  members: object = error.toBody(requestId),
): HttpDenial {
  const problem = accept !== undefined && prefersProblem(accept);
  const body = JSON.stringify(
    problem
      ? {
          type: "about:blank",
          title: TITLES[error.status],
          status: error.status,
          detail: error.message,
          ...members,
        }
      : members,
  );
  const headers: Record<string, string> = {
    ...error.headers,
    "Cache-Control": "no-store",
    "Content-Length": String(Buffer.byteLength(body)),
    "Content-Type": problem ? "application/problem+json" : "application/json",
    "X-Request-Id": requestId,
  };
  return {
    status: error.status,
    headers: Object.fromEntries(
      Object.entries(headers)
        .map(([name, value]) => [name.toLowerCase(), value] as const)
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    ),
    body,
  };
}

/** Whether `Accept` (RFC 9110, 12.5.1) names problem documents with at least the weight of plain JSON. */
function prefersProblem(accept: string): boolean {
  let problem = 0;
  let json = 0;
  for (const range of accept.toLowerCase().split(",")) {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim());
    const weight = parameters.find((parameter) => parameter.startsWith("q="));
    const quality = weight === undefined ? 1 : Number(weight.slice(2));
    if (type === "application/problem+json") problem = quality;
    if (type === "application/json") json = quality;
  }
  return problem > 0 && problem >= json;
}
