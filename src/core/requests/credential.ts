import { checkOptions } from "../../internal/validate.js";
import { type AuthRequest, headerCount, headerValue, trimOws } from "./request.js";

/** Where a secret is looked for; by default `Authorization: Bearer <token>` and nowhere else. */
export interface CredentialOptions {
  /** The header's name. Another one than `authorization` holds the bare secret, unless `scheme` says more. */
  readonly header?: string;
  /** The authentication scheme in front of the secret, compared without case (RFC 9110, 11.1). */
  readonly scheme?: string;
}

/** A {@link CredentialOptions} made ready for requests. */
export interface CredentialSource {
  /** Lower case. */
  readonly header: string;
  readonly scheme: string | undefined;
  /** What a client should send, for the message of a 401. */
  readonly example: string;
  /** The scheme that a challenge names. */
  readonly challenge: string;
  /** What stands before the secret, as most clients write it. */
  readonly lead: string;
  /** The same as any client may write it. */
  readonly anyLead: RegExp;
}

/** Why no secret could be read. */
export type CredentialFault = {
  readonly fault: "missing_credential" | "malformed_credential";
};

const MISSING: CredentialFault = Object.freeze({ fault: "missing_credential" });
const MALFORMED: CredentialFault = Object.freeze({
  fault: "malformed_credential",
});

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"; // RFC 9110, 5.6.2
const B64TOKEN = /^[A-Za-z0-9._~+/-]+=*$/; // RFC 6750, 2.1
const BEYOND_B64 = /[^A-Za-z0-9._~+/-]/;
const ONE_CREDENTIAL = new RegExp(`^${TOKEN}(?: |$)`);
// Fetch joins repeated lines with a comma, and behind a comma only `name = value` continues a credential.
const SECOND_CREDENTIAL = new RegExp(`,[ \\t]*${TOKEN}[ \\t]+[^ \\t=]`);

/** @throws TypeError for a header or scheme name that HTTP does not allow, and for unknown options. */
export function credentialSource(given: CredentialOptions = {}): CredentialSource {
  const options = checkOptions("credential", given, ["header", "scheme"]);
  const name = options.header ?? "Authorization";
  for (const [option, value] of [
    ["header", name],
    ["scheme", options.scheme],
  ] as const) {
    if (value !== undefined && (typeof value !== "string" || !new RegExp(`^${TOKEN}$`).test(value))) {
      throw new TypeError(`credential: "${option}" must be a token of RFC 9110, section 5.6.2`);
    }
  }
  const header = name.toLowerCase();
  const scheme = options.scheme ?? (header === "authorization" ? "Bearer" : undefined);
  return Object.freeze({
    header,
    scheme,
    example: scheme === undefined ? `${name}: <token>` : `${name}: ${scheme} <token>`,
    challenge: scheme ?? "ApiKey",
    lead: scheme === undefined ? "" : `${scheme} `,
    anyLead: new RegExp(
      scheme === undefined ? "^" : `^${scheme.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")} +`,
      "i",
    ),
  });
}

/**
 * Reads the one credential of a request: the secret, or why there is none.
 *
 * Two lines of the header are a fault even when they agree: what a proxy checked and what a server used
 * would be free to differ. So is a header section that was cut, behind which a second line may have been.
 */
export function extractCredential(request: AuthRequest, source: CredentialSource): string | CredentialFault {
  if (request.headersTruncated === true || headerCount(request, source.header) > 1) return MALFORMED;
  const field = headerValue(request, source.header);
  if (field === undefined) return MISSING;
  const value = trimOws(field);
  const begin = tokenBegin(value, source);
  if (begin === undefined) return isAnotherScheme(value, source) ? MISSING : MALFORMED;
  const token = value.slice(begin);
  return isB64Token(token) ? token : MALFORMED;
}

/** Where the secret begins; `undefined` when the scheme before it is not the one that is asked for. */
function tokenBegin(value: string, { lead, anyLead }: CredentialSource): number | undefined {
  const usual = value.startsWith(lead) && value.charCodeAt(lead.length) !== 32;
  return usual ? lead.length : anyLead.exec(value)?.[0].length;
}

/** A token without padding is told by what it does not have, in half the time of a match. */
function isB64Token(token: string): boolean {
  return (token !== "" && !BEYOND_B64.test(token)) || B64TOKEN.test(token);
}

/** Whether the value is one whole credential of a scheme that is not ours to judge. */
function isAnotherScheme(value: string, source: CredentialSource): boolean {
  if (source.scheme === undefined || !ONE_CREDENTIAL.test(value) || SECOND_CREDENTIAL.test(value))
    return false;
  return value.toLowerCase() !== source.scheme.toLowerCase(); // ours with a space behind it was found before
}
