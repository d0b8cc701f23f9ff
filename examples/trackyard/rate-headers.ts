/** What this API calls the windows. */
const SUFFIX: Readonly<Record<string, string>> = { minute: "", day: "-Daily" };

/**
 * `X-RateLimit-Limit`, `X-RateLimit-Remaining` and the same of the day, as clients of this API know them: what the
 * guard says in `RateLimit-Policy` and `RateLimit`.
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
