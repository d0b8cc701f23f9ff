/** The header suffix of each rate-limit window. */
const SUFFIX: Readonly<Record<string, string>> = { minute: "", day: "-Daily" };

/**
 * Returns `X-RateLimit-Limit`, `X-RateLimit-Remaining` and their `-Daily` variants, from the headers `RateLimit-Policy`
 * and `RateLimit` of the guard.
 */
export function rateHeaders(policy: unknown, state: unknown): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, header, pattern] of [
    ["X-RateLimit-Limit", policy, /"(\w+)";q=(\d+)/g],
    ["X-RateLimit-Remaining", state, /"(\w+)";r=(\d+)/g],
  ] as const) {
    for (const [, window = "", count = ""] of String(header).matchAll(pattern)) {
      headers[name + SUFFIX[window]] = count;
    }
  }
  return headers;
}
