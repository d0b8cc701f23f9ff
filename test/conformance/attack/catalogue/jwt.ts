import { bearer, deny } from "../../../contract/guards/case.js";
import { secrets } from "../../../unit/adapters/fixtures.js";
import { claimsWith, NOW, token } from "../../../unit/jwt/fixtures.js";
import { forgeries } from "../../jwt/forgeries.js";
import { attack, catalogue, type Draft, status } from "../attack.js";

const FORGED = status(401, "invalid_key");
const MALFORMED = deny("malformed_credential");
const MISSING = deny("missing_credential");
const good = token();
const [head = "", claims = "", signature = ""] = good.split(".");

/** Returns a forgery of the verifier tests by its name or the start of it. */
function forged(name: string, source: string): Draft {
  const found =
    forgeries.find((forgery) => forgery.name === name) ??
    forgeries.find((forgery) => forgery.name.startsWith(name));
  if (found === undefined) throw new Error(`there is no forgery ${name}`);
  const characters = /^[A-Za-z0-9._~+/-]+=*$/;
  return attack(
    found.name,
    source,
    { target: "/me", headers: [bearer(found.token)] },
    characters.test(found.token) ? FORGED : MALFORMED,
  );
}

const sent = (
  title: string,
  source: string,
  headers: readonly string[],
  expected: Draft["expected"],
  target = "/me",
): Draft => attack(title, source, { target, headers }, expected);

export const jwtAttacks = catalogue("jwt", [
  // Signatures
  forged('alg "none", no signature', "CVE-2022-23540"),
  forged('alg "None", no signature', "RFC 8725, 2.1"),
  forged('alg "nOnE", no signature', "RFC 8725, 2.1"),
  forged('alg "none", some signature', "RFC 7518, 3.6"),
  forged("the valid header, no signature", "RFC 7515, 5.2"),
  forged("a signature of zeros (r = s = 0)", "CVE-2022-21449"),
  forged("an empty signature in DER", "CVE-2022-21449"),
  forged("a signature of one byte", "CVE-2020-28042"),
  forged("a truncated signature", "RFC 7515, 5.2"),
  forged("the signature twice", "RFC 7515, 5.2"),
  forged("a signature with other trailing bits", "RFC 7515, 2"),
  forged('HS256 with "-----BEGIN PUBLIC KEY-----\\n', "CVE-2016-10555"),
  forged('HS256 with ""', "CVE-2019-20933"),
  forged("HS256 with the DER of the public key", "CVE-2022-29217"),
  forged("ES256 in the header, HS256 with the public key", "RFC 8725, 2.1"),
  forged("RS256 with another key", "RFC 8725, 3.1"),
  forged("ES256 with another key", "RFC 7515, 5.2"),
  forged('alg "ES256K", signed as ES256', "RFC 8725, 3.1"),
  forged('alg "__proto__"', "CWE-1321"),

  // Keys and headers in a token
  forged("jwk of the attacker", "CVE-2018-0114"),
  forged("jku of the attacker", "RFC 8725, 3.10"),
  forged("x5u of the attacker", "RFC 8725, 3.10"),
  forged("x5c of the attacker", "RFC 7515, 4.1.6"),
  forged("crit that names b64", "RFC 7797, 6"),
  forged("crit that names exp", "RFC 7515, 4.1.11"),
  forged('kid "../../../dev/null', "CWE-22"),
  forged("kid \"' or 1=1", "CWE-89"),
  forged('typ "logout+jwt"', "RFC 8725, 3.11"),
  forged('typ "dpop+jwt"', "RFC 8725, 3.11"),
  forged('the header {"alg":"none","alg":"ES256"}', "RFC 7515, 4"),

  // Claims
  forged("exp missing", "RFC 9068, 2.2"),
  forged("exp a string", "RFC 7519, 4.1.4"),
  forged("exp too large for a number", "RFC 8259, 6"),
  forged("exp now", "RFC 7519, 4.1.4"),
  forged("exp in the prototype", "CWE-1321"),
  forged("nbf a second from now", "RFC 7519, 4.1.5"),
  forged("iss with a trailing slash", "RFC 8725, 3.8"),
  forged("iss with a homoglyph", "CWE-1007"),
  forged("aud of another service", "RFC 8725, 3.9"),
  forged("aud an empty array", "RFC 8725, 3.9"),
  forged("no sub", "RFC 9068, 2.2"),
  forged("a duplicate member", "RFC 7519, 4"),
  forged("__proto__ with a scope", "CWE-1321"),

  // Format
  forged("the header of JWE", "RFC 7516, 9"),
  forged("15,000 characters, validly signed", "OWASP API4:2023"),
  sent("a token with two dots after it", "RFC 7515, 7.1", [bearer(`${good}..`)], FORGED),
  sent("header and claims swapped", "RFC 7515, 7.1", [bearer(`${claims}.${head}.${signature}`)], FORGED),
  sent("two tokens joined by a dot", "RFC 7515, 7.1", [bearer(`${good}.${good}`)], FORGED),
  sent("a nested token", "RFC 7519, 5.2", [bearer(token(good, { alg: "ES256", cty: "JWT" }))], FORGED),
  sent("a key in the format of a token", "OWASP API2:2023", [bearer(`${secrets.reader}.a.b`)], FORGED),
  sent(
    "a key as the claims of a token",
    "OWASP API2:2023",
    [bearer(`${head}.${Buffer.from(secrets.reader).toString("base64url")}.${signature}`)],
    FORGED,
  ),
  sent("a token with a comma after it", "RFC 6750, 2.1", [bearer(`${good},`)], MALFORMED),

  // A valid token in the wrong place
  sent("a token and a key", "RFC 9110, 5.3", [bearer(good), bearer(secrets.reader)], MALFORMED),
  sent(
    "a token and a key in one line",
    "RFC 9110, 5.3",
    [`${bearer(good)}, Bearer ${secrets.reader}`],
    MALFORMED,
  ),
  sent("a token under the scheme JWT", "RFC 9110, 11.1", [`Authorization: JWT ${good}`], MISSING),
  sent("a token under the scheme DPoP, unbound", "RFC 9449, 7.1", [`Authorization: DPoP ${good}`], MISSING),
  sent("a token in the query", "RFC 6750, 2.3", [], MISSING, `/me?access_token=${good}`),
  sent("a token in a cookie", "RFC 6750, 2", [`Cookie: access_token=${good}; jwt=${good}`], MISSING),
  sent(
    "a token without the scope",
    "OWASP API5:2023",
    [bearer(good)],
    status(403, "insufficient_scope"),
    "/admin",
  ),
  sent(
    "a token with undefined scopes",
    "OWASP API5:2023",
    [bearer(token(claimsWith({ scope: "fleet:admin2 * vehicles:*" })))],
    status(403, "insufficient_scope"),
    "/admin",
  ),
  sent(
    "a token whose scopes are in a claim of another name",
    "RFC 9068, 2.2.3",
    [bearer(token(claimsWith({ scope: undefined, permissions: ["fleet:admin"], roles: "fleet:admin" })))],
    status(403, "insufficient_scope"),
    "/admin",
  ),
  sent(
    "a token that expired a day ago",
    "RFC 7519, 4.1.4",
    [bearer(token(claimsWith({ exp: NOW - 86_400 })))],
    FORGED,
  ),
  sent(
    "the management API with a token of another issuer",
    "OWASP API5:2023",
    [bearer(good)],
    status(401, "invalid_key"),
    "/manage/api-keys",
  ),
]);
