import { pageProblem } from "./problems.js";

const SAFE = ["GET", "HEAD"];

/**
 * Rejects requests that another site may have caused. Browsers set `Sec-Fetch-Site` themselves, and pages cannot
 * (https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header). Older browsers, and pages over plain HTTP, have only
 * `Origin`. A request that changes something needs one of the two; a cookie never suffices.
 *
 * @throws HttpProblem 403 `cross_site`, or 415 if a request that changes something is not JSON.
 */
export function requireSameOrigin(request: Request, publicOrigin: string | undefined): void {
  const { headers, method } = request;
  const site = headers.get("sec-fetch-site");
  const origin = headers.get("origin");
  const ownOrigin = publicOrigin ?? new URL(request.url).origin;
  if (site !== null && site !== "same-origin") throw pageProblem("cross_site");
  if (site === null && origin !== null && origin !== ownOrigin) throw pageProblem("cross_site");
  if (SAFE.includes(method)) return;
  if (site === null && origin === null) throw pageProblem("cross_site");
  // A form of another page cannot send JSON.
  const type = (headers.get("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase();
  if (type !== "application/json") throw pageProblem("unsupported_media_type");
}
