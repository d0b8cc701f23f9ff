import { bearer, deny } from "../../../contract/guards/case.js";
import { format, secrets } from "../../../unit/adapters/fixtures.js";
import { attack, catalogue, type Draft } from "../attack.js";

const INVALID = deny("invalid_key", { lookups: 0 });
const MALFORMED = deny("malformed_credential", { lookups: 0 });
const { reader, writer, admin, testing } = secrets;
const LEAD = "ezt_live_".length;
const random = reader.slice(LEAD, -6);
const checksum = reader.slice(-6);

const key = (title: string, source: string, secret: string, expected: Draft["expected"] = INVALID): Draft =>
  attack(title, source, { target: "/me", headers: [bearer(secret)] }, expected);

/** Swaps two neighbouring characters that differ. */
function swapped(text: string, at: number): string {
  let place = at;
  while (text[place] === text[place + 1]) place++;
  return text.slice(0, place) + text[place + 1] + text[place] + text.slice(place + 2);
}

const API2 = "OWASP API2:2023";
const SYNTAX = "CWE-20";

export const keyAttacks = catalogue("keys", [
  // Similar to an existing key: rejected by the checksum, without a lookup
  key("two random characters swapped", API2, swapped(reader, LEAD + 10)),
  key("two characters of the checksum swapped", API2, swapped(reader, reader.length - 6)),
  key("the checksum of another key", API2, reader.slice(0, -6) + writer.slice(-6)),
  key(
    "the random part of one key and the checksum of another",
    API2,
    `ezt_live_${writer.slice(LEAD, -6)}${checksum}`,
  ),
  key("half of one key and half of another", API2, reader.slice(0, 25) + admin.slice(25)),
  key("the random part reversed", API2, `ezt_live_${[...random].reverse().join("")}${checksum}`),
  key("the random part rotated by one", API2, `ezt_live_${random.slice(1)}${random[0]}${checksum}`),
  key("the checksum before the random part", API2, `ezt_live_${checksum}${random}`),
  key("a checksum of zeros", API2, `ezt_live_${random}000000`),
  key("a checksum of the last letters", API2, `ezt_live_${random}zzzzzz`),
  key("the last letter of the alphabet only", API2, `ezt_live_${"z".repeat(38)}`),
  key("the first 37 characters and others", API2, `${reader.slice(0, 37)}abcdefghij`),

  // Environments: checked before any lookup
  key("a live key with the environment test", API2, reader.replace("_live_", "_test_")),
  key("two environments", API2, reader.replace("_live_", "_live_test_")),
  key("the environment twice", API2, reader.replace("_live_", "_live_live_")),
  key("an empty environment", API2, reader.replace("_live_", "__")),
  key("a test key without its environment", API2, testing.replace("_test_", "_")),
  key("an environment with an upper case letter", API2, reader.replace("_live_", "_Live_")),
  key(
    "an environment named like a member of Object.prototype",
    "CWE-1321",
    reader.replace("_live_", "_constructor_"),
  ),
  key("an environment named __proto__", "CWE-1321", reader.replace("_live_", "___proto___")),
  attack(
    "an unknown test key on an admin route",
    API2,
    { target: "/admin", headers: [bearer(format.generate("test"))] },
    deny("wrong_environment", { lookups: 0 }),
  ),

  // Other alphabets and encodings
  key("in base64url", SYNTAX, Buffer.from(reader).toString("base64url")),
  key("in hexadecimal", SYNTAX, Buffer.from(reader).toString("hex")),
  key("a hash instead of a secret", "CWE-836", "f".repeat(64)),
  key("a hash with the name of an algorithm", "CWE-836", `sha256.${"0".repeat(64)}`),
  key(
    "ROT13",
    SYNTAX,
    reader.replace(/[a-z]/gi, (c) =>
      String.fromCharCode(c.charCodeAt(0) + (c.toLowerCase() < "n" ? 13 : -13)),
    ),
  ),
  key(
    "fullwidth digits in UTF-8 as checksum",
    SYNTAX,
    `ezt_live_${random}\xef\xbc\x90\xef\xbc\x91`,
    MALFORMED,
  ),
  key(
    "a Cyrillic e in UTF-8 as first letter",
    "CWE-1007",
    `\xd0\xb5zt_live_${reader.slice(LEAD)}`,
    MALFORMED,
  ),
  key("a tilde instead of an underscore", SYNTAX, reader.replace("_", "~")),
  key("a plus in the random part", SYNTAX, `${reader.slice(0, 20)}+${reader.slice(21)}`),
  key("a slash in the random part", SYNTAX, `${reader.slice(0, 20)}/${reader.slice(21)}`),
  key("a question mark after the key", SYNTAX, `${reader}?`, MALFORMED),
  key("an asterisk as wildcard", "CWE-155", "ezt_live_*", MALFORMED),
  key("a percent sign as wildcard of LIKE", "CWE-155", `${reader.slice(0, 20)}%`, MALFORMED),
  key("underscores as wildcards of LIKE", "CWE-155", `ezt_live_${"_".repeat(38)}`),
  key("dots as wildcards of a regular expression", "CWE-185", `ezt_live_${".".repeat(38)}`),

  // Strings that look like other values
  key("undefined", SYNTAX, "undefined"),
  key("null", SYNTAX, "null"),
  key("true", SYNTAX, "true"),
  key("NaN", SYNTAX, "NaN"),
  key("0", SYNTAX, "0"),
  key("-1", SYNTAX, "-1"),
  key("[object Object]", SYNTAX, "[object Object]", MALFORMED),
  key("__proto__", "CWE-1321", "__proto__"),
  key("hasOwnProperty", "CWE-1321", "hasOwnProperty"),
  key("a path", "CWE-22", "../../../../etc/passwd"),
  key("a key of another service", API2, "sk_test_4eC39HqLyjWDarjtT1zdp7dc"),
  key("a token in the format of GitHub", API2, `ghp_${"a".repeat(36)}`),
  key("a key of 12,000 characters", "CWE-400", `ezt_live_${"a".repeat(12_000)}`),
  key("a key with a thousand environments", "CWE-400", `ezt_${"live_".repeat(1_000)}${reader.slice(LEAD)}`),
]);
