import { describe } from "../../internal/validate.js";
import type { AuthRequest } from "../../kit.js";

/** Whether `htu` is the URI of a request (RFC 9449, section 4.3, step 9). */
export type MatchesTarget = (htu: unknown, request: AuthRequest) => boolean;

// WHATWG parsers skip tabs and extra slashes, and read a backslash as a slash.
const ABSOLUTE = /^https?:\/\/[^/?#\\@]+(?:[/?#][^\\]*)?$/i;
const VISIBLE = /^[\x21-\x7e]+$/;
const ABSOLUTE_FORM = /^https?:\/\/[^/?#]+/i; // RFC 9112, section 3.2.2

/**
 * Creates a function that compares URIs without query and fragment, after the normalization of RFC 3986, sections 6.2.2
 * and 6.2.3. Dot segments are resolved in `htu` only: for a router, a path with dot segments is another one.
 *
 * @throws TypeError if `origin` is not an HTTP URL without query and fragment, or a non-empty array of such URLs.
 */
export function createTargetMatcher(where: string, origin: unknown): MatchesTarget {
  const origins: readonly unknown[] = Array.isArray(origin) ? origin : [origin];
  const bases = origins.map((value) => {
    const base = typeof value === "string" && !/[?#]/.test(value) ? normalizeUri(value) : undefined;
    if (base !== undefined) return base.replace(/\/$/, "");
    throw new TypeError(
      `${where}: "dpop.origin" must be a URL such as "https://api.example.com", the public origin of this service, or ` +
        `an array of such URLs; received ${typeof value === "string" ? JSON.stringify(value) : describe(value)}`,
    );
  });
  if (bases.length === 0) throw new TypeError(`${where}: "dpop.origin" is an empty array`);

  return (htu, request) => {
    const uri = typeof htu === "string" ? normalizeUri(htu) : undefined;
    const path = request.path?.replace(/[?#].*/s, "").replace(ABSOLUTE_FORM, "") || "/";
    return (
      uri !== undefined && path.startsWith("/") && bases.some((base) => base + normalizePath(path) === uri)
    );
  };
}

function normalizeUri(text: string): string | undefined {
  if (!VISIBLE.test(text) || !ABSOLUTE.test(text) || !URL.canParse(text)) return undefined;
  const { origin, pathname } = new URL(text);
  return origin + normalizePath(pathname);
}

/** RFC 3986, sections 6.2.2.1 and 6.2.2.2: upper-case hex digits, and no encoded unreserved characters. */
function normalizePath(path: string): string {
  return path.replace(/%[0-9a-f]{2}|["<>^`{|}]/gi, (part) => {
    const code = part.length === 1 ? part.charCodeAt(0) : Number.parseInt(part.slice(1), 16);
    const character = String.fromCharCode(code);
    return /[A-Za-z0-9._~-]/.test(character)
      ? character
      : `%${code.toString(16).toUpperCase().padStart(2, "0")}`;
  });
}
