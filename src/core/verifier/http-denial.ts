import type { AuthError, AuthErrorStatus } from "../errors.js";

/** A refusal as bytes: every guard sends the same ones. */
export interface HttpDenial {
  readonly status: AuthErrorStatus;
  /** Names in lower case and in alphabetical order, as the Fetch standard's `Headers` yields them. */
  readonly headers: Readonly<Record<string, string>>;
  /** JSON. In the answer to HEAD only its length counts, which the headers tell. */
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
 * Writes a refusal down: `{ message, code, requestId }` and the details, or the same members in a problem
 * document (RFC 9457) for a client that asks for `application/problem+json`. `members` replaces all of these.
 *
 * @example
 * const { status, headers, body } = toHttpRefusal(result.error, requestId, request.headers.accept);
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

/** Whether `Accept` (RFC 9110, 12.5.1) names problem documents, and likes them no less than plain JSON. */
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
