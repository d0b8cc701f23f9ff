import { randomBytes } from "node:crypto";
import { checkBoolean, checkOptions, describe } from "../../internal/validate.js";
import {
  BASE62,
  CHECKSUM_LENGTH,
  crcOf,
  finishCrc,
  readChecksum,
  updateCrc,
  updateCrcByFour,
  writeChecksum,
} from "./checksum.js";

/** The result of parsing a secret. */
export interface ParsedSecret<E extends string = string> {
  /** The environment in the secret; `undefined` for a format without environments. */
  readonly environment?: E | undefined;
}

/**
 * The format of secrets. {@link keyFormat} creates one; implement the interface for existing keys with a format of their
 * own. Verification needs only `parse`.
 *
 * @example
 * // Keys of an older system: "acct-<number>-<24 letters>"
 * const legacy: KeyFormat = {
 *   parse: (secret) => (/^acct-\d{1,9}-[a-z]{24}$/.test(secret) ? {} : undefined),
 * };
 */
export interface KeyFormat<E extends string = string> {
  /** The environments that secrets can name; absent for a format without environments. */
  readonly environments?: readonly E[] | undefined;
  /**
   * The source of a regular expression that matches every secret inside a text, for secret scanners: without flags, anchors,
   * capturing groups and lookarounds, so that RE2 and Python read it too. Required for `keybearer scan` and `scan-rules`.
   */
  readonly pattern?: string;
  /** Parses a secret without I/O; returns `undefined` if it does not have this format. Must not throw. */
  parse(secret: string): ParsedSecret<E> | undefined;
  /** Generates a new secret. Required for managers. */
  generate?(environment?: E): string;
  /** Returns the first characters of a secret, kept for display. Four characters by default. */
  start?(secret: string): string;
}

/** A format created by {@link keyFormat}, with all methods. */
export interface GeneratedKeyFormat<E extends string = string> extends KeyFormat<E> {
  readonly pattern: string;
  /** Parses the secret that begins at `begin`, 0 by default, and is the rest of the text. */
  parse(text: string, begin?: number): ParsedSecret<E> | undefined;
  generate(environment?: E): string;
  start(secret: string): string;
}

/** Options of {@link keyFormat}. */
export interface KeyFormatOptions<E extends string = string> {
  /** The beginning of every secret, for people and secret scanners. May contain underscores. None by default. */
  readonly prefix?: string;
  /** The environments that follow the prefix, such as `["live", "test"]`. None by default. */
  readonly environments?: readonly E[];
  /**
   * The characters of the random part: `"base62"` (the default), `"hex"` (lower case) or your own. With a dot, keys and
   * JWTs cannot share a header.
   */
  readonly alphabet?: "base62" | "hex" | (string & {});
  /** The number of random characters, which must give at least 128 bits. 32 by default. */
  readonly length?: number;
  /** Whether a secret ends with a checksum: CRC-32 as six base62 characters. `true` by default. */
  readonly checksum?: boolean;
}

const ALPHABETS: Readonly<Record<string, string>> = {
  base62: BASE62,
  hex: "0123456789abcdef",
};
const CLASSES: Readonly<Record<string, string>> = { [BASE62]: "[0-9A-Za-z]", "0123456789abcdef": "[0-9a-f]" };
const NOT_ASCII = 128; // no ASCII character has this bit
const START_LENGTH = 4;
const MIN_BITS = 128; // OWASP ASVS 5.0, 11.5.1
const MAX_LENGTH = 256;

/**
 * Creates the format of the secrets of a service: `<prefix>_<environment>_<32 random base62><checksum>`, with 190
 * random bits. The checksum covers the prefix, so a mistyped or truncated secret is rejected without a lookup.
 *
 * @throws TypeError if an option is unknown, a prefix or environment contains invalid characters, or the random part
 *   has fewer than 128 bits.
 *
 * @example
 * const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
 * format.generate("live"); // "ezt_live_…"
 *
 * @example
 * const legacy = keyFormat({ alphabet: "hex", length: 32, checksum: false }); // 32 hex digits without a prefix
 */
export function keyFormat<const E extends string>(given: KeyFormatOptions<E>): GeneratedKeyFormat<E> {
  const options = checkOptions("keyFormat", given, [
    "prefix",
    "environments",
    "alphabet",
    "length",
    "checksum",
  ]);
  const { prefix, environments, length = 32, checksum = true } = options;
  const alphabet = readAlphabet(options.alphabet ?? "base62");
  checkPrefix(prefix);
  checkEnvironments(prefix, environments);
  checkBoolean("keyFormat", "checksum", checksum);
  checkLength(length, alphabet);

  const invalid = new Uint8Array(128).fill(NOT_ASCII);
  for (const character of alphabet) invalid[character.charCodeAt(0)] = 0;
  // What precedes the random part, such as "ezt_live_".
  const heads = (environments ?? [undefined]).map((environment: E | undefined) => {
    const text = [prefix, environment, ""].filter((part) => part !== undefined).join("_");
    return { text, crc: crcOf(text), parsed: Object.freeze({ environment }) };
  });
  const flagOf = (code: number): number => invalid[code & 0x7f] as number;
  const tailLength = length + (checksum ? CHECKSUM_LENGTH : 0);

  const parse = (text: string, begin = 0): ParsedSecret<E> | undefined => {
    for (const head of heads) {
      const start = begin + head.text.length;
      if (text.length !== start + tailLength || !text.startsWith(head.text, begin)) continue;
      const end = start + length;
      let crc = head.crc;
      let seen = 0; // at least NOT_ASCII after a character outside the alphabet
      let i = start;
      for (; i + 4 <= end; i += 4) {
        const a = text.charCodeAt(i);
        const b = text.charCodeAt(i + 1);
        const c = text.charCodeAt(i + 2);
        const d = text.charCodeAt(i + 3);
        seen |= a | b | c | d | flagOf(a) | flagOf(b) | flagOf(c) | flagOf(d);
        crc = updateCrcByFour(crc, a | (b << 8) | (c << 16) | (d << 24));
      }
      for (; i < end; i++) {
        const code = text.charCodeAt(i);
        seen |= code | flagOf(code);
        crc = updateCrc(crc, code);
      }
      if (seen >= NOT_ASCII) return undefined;
      return checksum && readChecksum(text, end) !== finishCrc(crc) ? undefined : head.parsed;
    }
    return undefined;
  };

  const format: GeneratedKeyFormat<E> = Object.freeze({
    environments: environments && Object.freeze([...environments]),
    pattern: patternOf(prefix, environments, alphabet, length, checksum),
    parse,
    generate(environment?: E): string {
      const head = heads.find(({ parsed }) => parsed.environment === environment);
      if (head === undefined) {
        const [requested, known] = [describeEnvironment(environment), describeKnown(environments)];
        throw new TypeError(`keyFormat: cannot generate a secret for ${requested}; ${known}`);
      }
      const text = head.text + randomText(alphabet, length);
      return checksum ? text + writeChecksum(finishCrc(crcOf(text))) : text;
    },
    start(secret: string): string {
      const head = heads.find(({ text }) => secret.startsWith(text));
      return secret.slice(0, (head?.text.length ?? 0) + START_LENGTH);
    },
  });
  alphabets.set(format, alphabet);
  return format;
}

function patternOf(
  prefix: string | undefined,
  environments: readonly string[] | undefined,
  alphabet: string,
  length: number,
  checksum: boolean,
): string {
  const environment = environments?.length === 1 ? environments[0] : `(?:${environments?.join("|")})`;
  const head = [prefix, environments && environment, ""].filter((part) => part !== undefined).join("_");
  const classOf = (characters: string) => CLASSES[characters] ?? `[${characters.replace("-", "\\-")}]`;
  if (!checksum) return `${head}${classOf(alphabet)}{${length}}`;
  if (alphabet === BASE62) return `${head}${classOf(BASE62)}{${length + CHECKSUM_LENGTH}}`;
  return `${head}${classOf(alphabet)}{${length}}${classOf(BASE62)}{${CHECKSUM_LENGTH}}`;
}

// A wrapper of such a format is a custom format, whose `parse` may ignore `begin`.
const alphabets = new WeakMap<KeyFormat, string>();

/** Whether a format was created by {@link keyFormat}. */
export function isGenerated(format: KeyFormat): format is GeneratedKeyFormat {
  return alphabets.has(format);
}

// The header and the claims of a real token, and a signature of 32 bytes.
const JWT_SAMPLE = `eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.${"A".repeat(43)}`;

/** Whether some secrets of a format have the form of a JWT. Of a custom format, `parse` is called with a sample. */
export function mayLookLikeJwt(format: KeyFormat): boolean {
  return alphabets.get(format)?.includes(".") ?? format.parse(JWT_SAMPLE) !== undefined;
}

/** Returns the part of a secret that is kept for display, also for formats without `start`. */
export function startOf(format: KeyFormat, secret: string): string {
  return format.start?.(secret) ?? secret.slice(0, START_LENGTH);
}

function readAlphabet(name: unknown): string {
  const alphabet =
    typeof name === "string" ? (Object.hasOwn(ALPHABETS, name) ? ALPHABETS[name] : name) : undefined;
  // The characters of a b64token (RFC 6750, 2.1)
  if (
    alphabet === undefined ||
    !/^[A-Za-z0-9._~+/-]{2,}$/.test(alphabet) ||
    new Set(alphabet).size !== alphabet.length
  ) {
    throw new TypeError(
      'keyFormat: "alphabet" must be "base62", "hex" or at least two distinct characters of A-Z a-z 0-9 . _ ~ + / -',
    );
  }
  return alphabet;
}

function checkLength(length: unknown, alphabet: string): void {
  const least = Math.ceil(MIN_BITS / Math.log2(alphabet.length));
  if (Number.isInteger(length) && (length as number) >= least && (length as number) <= MAX_LENGTH) return;
  throw new TypeError(
    `keyFormat: "length" must be an integer from ${least} to ${MAX_LENGTH}: ${MIN_BITS} random bits need ${least} ` +
      `characters of this alphabet; received ${typeof length === "number" ? length : describe(length)}`,
  );
}

function checkPrefix(prefix: unknown): void {
  if (prefix === undefined) return;
  if (
    typeof prefix !== "string" ||
    !/^[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*$/.test(prefix) ||
    prefix.length > 32
  ) {
    throw new TypeError(
      'keyFormat: "prefix" must be at most 32 letters, digits and single underscores, and start with a letter',
    );
  }
}

function checkEnvironments(prefix: unknown, environments: unknown): void {
  if (environments === undefined) return;
  if (
    !Array.isArray(environments) ||
    environments.length === 0 ||
    new Set(environments).size !== environments.length ||
    !environments.every((name) => typeof name === "string" && /^[A-Za-z0-9]{1,32}$/.test(name))
  ) {
    throw new TypeError(
      'keyFormat: "environments" must be an array of distinct names of letters and digits, such as ["live", "test"]',
    );
  }
  if (prefix === undefined) throw new TypeError('keyFormat: "environments" requires "prefix"');
}

/** Generates random characters. Bytes that would cause modulo bias are skipped. */
function randomText(alphabet: string, length: number): string {
  const limit = 256 - (256 % alphabet.length);
  let text = "";
  while (text.length < length) {
    for (const byte of randomBytes(length * 2)) {
      if (byte < limit && text.length < length) text += alphabet[byte % alphabet.length];
    }
  }
  return text;
}

function describeEnvironment(environment: string | undefined): string {
  return environment === undefined ? "no environment" : `environment "${environment}"`;
}

function describeKnown(environments: readonly string[] | undefined): string {
  return environments === undefined
    ? "this format has no environments"
    : `this format has ${environments.join(", ")}`;
}
