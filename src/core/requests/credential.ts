import { checkOptions } from "../../internal/validate.js";
import { type AuthRequest, isTruncated, REPEATED, singleHeader, TOKEN, trimOws } from "./request.js";

/** Where the credential of a request is read from. `Authorization: Bearer <token>` by default. */
export interface CredentialOptions {
  /** The name of the header. `"Authorization"` by default. Any other header holds the secret alone, unless `scheme` is set. */
  readonly header?: string;
  /**
   * The authentication scheme before the secret, compared case-insensitively (RFC 9110, 11.1). `"Bearer"` by default in
   * the `Authorization` header, none in other headers.
   */
  readonly scheme?: string;
}

/** The compiled form of {@link CredentialOptions}. */
export interface CredentialSource {
  /** Lower case. */
  readonly header: string;
  readonly scheme: string | undefined;
  /** What a client should send, for the message of a 401. */
  readonly example: string;
  /** The scheme of the challenge. */
  readonly challenge: string;
  /** What precedes the secret, as most clients write it: `"Bearer "`. */
  readonly usualLead: string;
  /** Matches everything that may precede the secret, in any case and with any number of spaces. */
  readonly lead: RegExp;
}

/** Why a request has no readable credential. */
export interface CredentialFault {
  readonly fault: "missing_credential" | "malformed_credential";
}

/** The value of a header, and where in it the credential begins. */
export interface LocatedCredential {
  readonly fault?: undefined;
  readonly value: string;
  readonly begin: number;
}

const MISSING: CredentialFault = Object.freeze({ fault: "missing_credential" });
const MALFORMED: CredentialFault = Object.freeze({ fault: "malformed_credential" });

const B64TOKEN = /^[A-Za-z0-9._~+/-]+=*$/; // RFC 6750, 2.1
const NOT_B64 = /[^A-Za-z0-9._~+/-]/;
const ONE_CREDENTIAL = new RegExp(`^${TOKEN}(?: |$)`);
// Fetch joins repeated lines with a comma. After a comma, only `name = value` continues a credential.
const SECOND_CREDENTIAL = new RegExp(`,[ \\t]*${TOKEN}[ \\t]+[^ \\t=]`);

/**
 * Compiles the credential options of a verifier.
 *
 * @throws TypeError if an option is unknown, or a header or scheme name is invalid.
 */
export function credentialSource(given: CredentialOptions = {}): CredentialSource {
  const options = checkOptions("credential", given, ["header", "scheme"]);
  const name = options.header ?? "Authorization";
  for (const [option, value] of [
    ["header", name],
    ["scheme", options.scheme],
  ] as const) {
    if (value !== undefined && (typeof value !== "string" || !new RegExp(`^${TOKEN}$`).test(value))) {
      throw new TypeError(`credential: "${option}" must be a token (RFC 9110, 5.6.2), such as "X-API-Key"`);
    }
  }
  const header = name.toLowerCase();
  const scheme = options.scheme ?? (header === "authorization" ? "Bearer" : undefined);
  const usualLead = scheme === undefined ? "" : `${scheme} `;
  return Object.freeze({
    header,
    scheme,
    example: scheme === undefined ? `${name}: <token>` : `${name}: ${scheme} <token>`,
    challenge: scheme ?? "ApiKey",
    usualLead,
    lead: new RegExp(`^${usualLead.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")} *`, "i"),
  });
}

/** Returns the credential of a request, or why there is no readable one. */
export function extractCredential(request: AuthRequest, source: CredentialSource): string | CredentialFault {
  const located = locateCredential(request, source);
  if (located.fault !== undefined) return located;
  const token = located.value.slice(located.begin);
  return isB64Token(token) ? token : MALFORMED;
}

/**
 * Locates the credential of a request. Its characters are not checked.
 *
 * A repeated header is malformed even if the lines are equal: a proxy may have checked one line and the server used the
 * other. A truncated header section is malformed too, because a second line may have been dropped.
 */
export function locateCredential(
  request: AuthRequest,
  source: CredentialSource,
): LocatedCredential | CredentialFault {
  if (isTruncated(request)) return MALFORMED;
  const field = singleHeader(request, source.header);
  if (field === REPEATED) return MALFORMED;
  if (field === undefined) return MISSING;
  const value = trimOws(field);
  const begin = findToken(value, source);
  if (begin === undefined) return isAnotherScheme(value, source) ? MISSING : MALFORMED;
  return { value, begin };
}

/** Returns the index of the secret; `undefined` if the scheme before it is another one. */
function findToken(value: string, { usualLead, lead }: CredentialSource): number | undefined {
  const isUsual = value.startsWith(usualLead) && value.charCodeAt(usualLead.length) !== 32;
  return isUsual ? usualLead.length : lead.exec(value)?.[0].length;
}

/** Whether a credential has the characters of a b64token. For one without padding, the search is twice as fast as a match. */
export function isB64Token(token: string): boolean {
  return (token !== "" && !NOT_B64.test(token)) || B64TOKEN.test(token);
}

/** Whether the value is a single credential of another scheme. */
function isAnotherScheme(value: string, source: CredentialSource): boolean {
  if (!ONE_CREDENTIAL.test(value) || SECOND_CREDENTIAL.test(value)) return false;
  return value.toLowerCase() !== source.challenge.toLowerCase();
}
