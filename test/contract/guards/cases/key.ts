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

/** The secret with another character of its alphabet at a place. */
function changed(at: number): string {
  const place = at < 0 ? reader.length + at : at;
  const other = reader[place] === "a" ? "b" : "a";
  return reader.slice(0, place) + other + reader.slice(place + 1);
}

/** The secret with the case of its first letter behind a place turned over. */
function turned(from: number): string {
  const place = [...reader].findIndex((character, index) => index >= from && /[a-z]/i.test(character));
  const letter = reader[place] as string;
  const other = letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase();
  return reader.slice(0, place) + other + reader.slice(place + 1);
}

/** What a secret looks like, and what its key is worth. */
export const keyCases: readonly Case[] = [
  // Cut off
  key("the last character is gone", reader.slice(0, -1), BY_FORM),
  key("the first character is gone", reader.slice(1), BY_FORM),
  key("a character in the middle is gone", reader.slice(0, 20) + reader.slice(21), BY_FORM),
  key("the checksum is gone", reader.slice(0, -6), BY_FORM),
  key("the random part is gone", reader.slice(0, LEAD) + reader.slice(-6), BY_FORM),
  key("prefix and environment are gone", reader.slice(LEAD), BY_FORM),
  key("the environment is gone", `ezt_${reader.slice(LEAD)}`, BY_FORM),
  key("the prefix is gone", reader.slice(4), BY_FORM),
  key("prefix and environment only", "ezt_live_", BY_FORM),
  key("the prefix only", "ezt", BY_FORM),
  key("what is kept for display", reader.slice(0, LEAD + 4), BY_FORM),
  key("one character", "e", BY_FORM),

  // Added to
  key("a character too many", `${reader}a`, BY_FORM),
  key("an underscore too many", `${reader}_`, BY_FORM),
  key("padding behind it", `${reader}=`, BY_FORM),
  key("the secret twice", reader + reader, BY_FORM),
  key("a slash in front", `/${reader}`, BY_FORM),

  // Changed
  key("another first character", changed(0), BY_FORM),
  key("another first random character", changed(LEAD), BY_FORM),
  key("another last random character", changed(-7), BY_FORM),
  key("another first character of the checksum", changed(-6), BY_FORM),
  key("another last character of the checksum", changed(-1), BY_FORM),
  key("upper and lower case mixed up in the random part", turned(LEAD), BY_FORM),
  key("all in upper case", reader.toUpperCase(), BY_FORM),
  key("all in lower case", reader.toLowerCase(), BY_FORM),
  key("the prefix in upper case", reader.replace("ezt", "EZT"), BY_FORM),
  key("the environment in upper case", reader.replace("live", "LIVE"), BY_FORM),
  key("hyphens instead of underscores", reader.replaceAll("_", "-"), BY_FORM),
  key("another prefix", reader.replace("ezt", "ezs"), BY_FORM),
  key("the prefix of another service", reader.replace("ezt_live", "sk_live"), BY_FORM),
  key("an environment that the format does not have", reader.replace("live", "prod"), BY_FORM),
  key("the environment turned to test by hand", reader.replace("live", "test"), BY_FORM),
  key("a test secret turned to live by hand", secrets.testing.replace("test", "live"), BY_FORM),
  key("a dot in the random part", `${reader.slice(0, 20)}.${reader.slice(21)}`, BY_FORM),
  key("all zeros", `ezt_live_${"0".repeat(38)}`, BY_FORM),
  key("reversed", [...reader].reverse().join(""), BY_FORM),
  key("a JSON web token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyZWFkZXIifQ.", BY_FORM),
  key("in base64", Buffer.from(reader).toString("base64"), BY_FORM),

  // Of another environment: seen before any lookup
  key("a test key", secrets.testing, deny("wrong_environment", { lookups: 0 })),
  key("an unknown test key", secrets.unknownTesting, deny("wrong_environment", { lookups: 0 })),
  key("a broken test key", `${secrets.testing.slice(0, -1)}!`.replace("!", "-"), BY_FORM),
  key("a live secret whose record says test", secrets.mismatched, BY_STORE),

  // Well formed: one answer for whatever is wrong with the key
  key("an unknown key", secrets.unknown, BY_STORE),
  key("a revoked key", secrets.revoked, BY_STORE),
  key("a disabled key", secrets.disabled, BY_STORE),
  key("an expired key", secrets.expired, BY_STORE),
  key("a key that expires this very moment", secrets.expiringNow, BY_STORE),
  key("a rotated key whose overlap is over", secrets.retired, BY_STORE),
  key("a key that expires in a millisecond", secrets.expiringSoon, pass("expiringSoon")),
  key("a key that was disabled and enabled", secrets.enabled, pass("enabled")),
  key("a rotated key within its overlap", secrets.retiring, pass("retiring")),
  key("the successor of a rotated key", secrets.successor, pass("retiring")),

  // The order of the checks
  {
    id: "a revoked key without the scope is not valid",
    request: { method: "PUT", headers: [bearer(secrets.revoked)] },
    expected: BY_STORE,
  },
  {
    id: "a key for elsewhere without the scope is from the wrong network",
    request: { method: "PUT", headers: [bearer(secrets.office)] },
    expected: deny("ip_not_allowed"),
  },
  key(
    "a key for elsewhere over its limit is from the wrong network",
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
