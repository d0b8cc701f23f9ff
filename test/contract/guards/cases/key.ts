import { secrets } from "../../../unit/adapters/fixtures.js";
import { bearer, type Case, deny, pass } from "../case.js";

const BY_FORM = deny("invalid_key", { lookups: 0 });
const BY_STORE = deny("invalid_key", { lookups: 1 });
const { reader } = secrets;
const LEAD = "ezt_live_".length;

const key = (id: string, secret: string, expected: Case["expected"]): Case => ({
  id,
  request: { headers: [bearer(secret)] },
  expected,
});

/** Replaces one character of the secret by another one of its alphabet. */
function replaceCharacter(at: number): string {
  const place = at < 0 ? reader.length + at : at;
  const other = reader[place] === "a" ? "b" : "a";
  return reader.slice(0, place) + other + reader.slice(place + 1);
}

/** Inverts the case of the first letter of the secret from `from` on. */
function invertCase(from: number): string {
  const place = [...reader].findIndex((character, index) => index >= from && /[a-z]/i.test(character));
  const letter = reader[place] as string;
  const other = letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase();
  return reader.slice(0, place) + other + reader.slice(place + 1);
}

/** Invalid secrets, and keys in every state. */
export const keyCases: readonly Case[] = [
  // Truncated
  key("the last character is missing", reader.slice(0, -1), BY_FORM),
  key("the first character is missing", reader.slice(1), BY_FORM),
  key("a character in the middle is missing", reader.slice(0, 20) + reader.slice(21), BY_FORM),
  key("the checksum is missing", reader.slice(0, -6), BY_FORM),
  key("the random part is missing", reader.slice(0, LEAD) + reader.slice(-6), BY_FORM),
  key("prefix and environment are missing", reader.slice(LEAD), BY_FORM),
  key("the environment is missing", `ezt_${reader.slice(LEAD)}`, BY_FORM),
  key("the prefix is missing", reader.slice(4), BY_FORM),
  key("prefix and environment only", "ezt_live_", BY_FORM),
  key("the prefix only", "ezt", BY_FORM),
  key("the start of the secret", reader.slice(0, LEAD + 4), BY_FORM),
  key("one character", "e", BY_FORM),

  // With additions
  key("a character too many", `${reader}a`, BY_FORM),
  key("an underscore too many", `${reader}_`, BY_FORM),
  key("padding at the end", `${reader}=`, BY_FORM),
  key("the secret twice", reader + reader, BY_FORM),
  key("a slash at the beginning", `/${reader}`, BY_FORM),

  // Changed
  key("another first character", replaceCharacter(0), BY_FORM),
  key("another first random character", replaceCharacter(LEAD), BY_FORM),
  key("another last random character", replaceCharacter(-7), BY_FORM),
  key("another first character of the checksum", replaceCharacter(-6), BY_FORM),
  key("another last character of the checksum", replaceCharacter(-1), BY_FORM),
  key("a letter of the random part in the other case", invertCase(LEAD), BY_FORM),
  key("all in upper case", reader.toUpperCase(), BY_FORM),
  key("all in lower case", reader.toLowerCase(), BY_FORM),
  key("the prefix in upper case", reader.replace("ezt", "EZT"), BY_FORM),
  key("the environment in upper case", reader.replace("live", "LIVE"), BY_FORM),
  key("hyphens instead of underscores", reader.replaceAll("_", "-"), BY_FORM),
  key("another prefix", reader.replace("ezt", "ezs"), BY_FORM),
  key("the prefix of another service", reader.replace("ezt_live", "sk_live"), BY_FORM),
  key("an environment that the format does not have", reader.replace("live", "prod"), BY_FORM),
  key("live replaced by test", reader.replace("live", "test"), BY_FORM),
  key("test replaced by live", secrets.testing.replace("test", "live"), BY_FORM),
  key("a dot in the random part", `${reader.slice(0, 20)}.${reader.slice(21)}`, BY_FORM),
  key("all zeros", `ezt_live_${"0".repeat(38)}`, BY_FORM),
  key("reversed", [...reader].reverse().join(""), BY_FORM),
  key("a JSON web token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyZWFkZXIifQ.", BY_FORM),
  key("in base64", Buffer.from(reader).toString("base64"), BY_FORM),

  // Of another environment: rejected before any lookup
  key("a test key", secrets.testing, deny("wrong_environment", { lookups: 0 })),
  key("an unknown test key", secrets.unknownTesting, deny("wrong_environment", { lookups: 0 })),
  key("a broken test key", `${secrets.testing.slice(0, -1)}!`.replace("!", "-"), BY_FORM),
  key("a live secret with the record of a test key", secrets.mismatched, BY_STORE),

  // Well-formed: the same response for every reason
  key("an unknown key", secrets.unknown, BY_STORE),
  key("a revoked key", secrets.revoked, BY_STORE),
  key("a disabled key", secrets.disabled, BY_STORE),
  key("an expired key", secrets.expired, BY_STORE),
  key("a key that expires this very moment", secrets.expiringNow, BY_STORE),
  key("a rotated key after its overlap", secrets.retired, BY_STORE),
  key("a key that expires in a millisecond", secrets.expiringSoon, pass("expiringSoon")),
  key("a key that was disabled and enabled", secrets.enabled, pass("enabled")),
  key("a rotated key within its overlap", secrets.retiring, pass("retiring")),
  key("the successor of a rotated key", secrets.successor, pass("retiring")),

  // The order of the checks
  {
    id: "a revoked key without the scope: invalid_key",
    request: { method: "PUT", headers: [bearer(secrets.revoked)] },
    expected: BY_STORE,
  },
  {
    id: "a key for another network without the scope: ip_not_allowed",
    request: { method: "PUT", headers: [bearer(secrets.office)] },
    expected: deny("ip_not_allowed"),
  },
  key(
    "a key for another network over its limit: ip_not_allowed",
    secrets.localAndLimited,
    deny("ip_not_allowed"),
  ),

  // Limits
  key("a key over its limit", secrets.exhausted, deny("rate_limited")),
  key(
    "a key within its limit",
    secrets.metered,
    pass("metered", { RateLimit: '"key";r=99;t=30', "RateLimit-Policy": '"key";q=100;w=60' }),
  ),
  {
    id: "HEAD with a key over its limit",
    request: { method: "HEAD", headers: [bearer(secrets.exhausted)] },
    expected: deny("rate_limited"),
  },
  {
    id: "HEAD with a key within its limit",
    request: { method: "HEAD", headers: [bearer(secrets.metered)] },
    expected: pass("metered", { RateLimit: '"key";r=99;t=30' }),
  },
];
