import { randomBytes } from "node:crypto";
import { checkOptions } from "../../internal/validate.js";

/** What the text of a secret tells before any lookup. */
export interface ParsedSecret {
  /** The environment in the secret, or `undefined` for a format that names none. */
  readonly environment?: string | undefined;
}

/**
 * How secrets look. {@link keyFormat} makes one; implement the interface for keys that already exist in a
 * form of their own. Only `parse` is needed to verify.
 *
 * @example
 * // Keys of an older system: "acct-<number>-<24 letters>"
 * const legacy: KeyFormat = {
 *   parse: (secret) => (/^acct-\d{1,9}-[a-z]{24}$/.test(secret) ? {} : undefined),
 * };
 */
export interface KeyFormat {
  /** The environments that secrets can name; absent when they name none. */
  readonly environments?: readonly string[] | undefined;
  /** Recognises a secret by its form alone: pure, quick, and `undefined` for anything else. Must not throw. */
  parse(secret: string): ParsedSecret | undefined;
  /** Makes a new secret. A manager needs it. */
  generate?(environment?: string): string;
  /** The first characters of a secret, kept for display. Four characters when absent. */
  start?(secret: string): string;
}

/** A format made by {@link keyFormat}: it parses, generates and shows. */
export interface GeneratedKeyFormat extends KeyFormat {
  generate(environment?: string): string;
  start(secret: string): string;
}

/** Options of {@link keyFormat}. */
export interface KeyFormatOptions {
  /** What every secret begins with, so that people and secret scanners know whose it is. May hold underscores. */
  readonly prefix?: string;
  /** Named in the secret behind the prefix, such as `["live", "test"]`. */
  readonly environments?: readonly string[];
  /** The characters of the random part: `"base62"` (the default), `"hex"` (lower case) or your own. */
  readonly alphabet?: "base62" | "hex" | (string & {});
  /** How many random characters; 32 by default. At least 128 bits are required. */
  readonly length?: number;
  /** Six base62 characters of CRC-32 over all before them; `true` by default. */
  readonly checksum?: boolean;
}

const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ALPHABETS: Readonly<Record<string, string>> = {
  base62: BASE62,
  hex: "0123456789abcdef",
};
const CHECKSUM_LENGTH = 6;
const START_LENGTH = 4;
// OWASP ASVS 5.0, 11.5.1 asks for 128 bits in any value that must not be guessed.
const MINIMUM_BITS = 128;
const MAX_SECRET_CHARACTERS = 512;

/**
 * Describes the secrets of a service: `<prefix>_<environment>_<32 random base62><checksum>`, 190 random bits
 * from the system's generator. The checksum covers the prefix, so a mistyped or truncated secret, or one cut
 * from another service's, is refused without asking the store (as GitHub's token formats do).
 *
 * @throws TypeError for unknown options, prefixes and environments that a header could not carry, and random
 * parts of fewer than 128 bits.
 *
 * @example
 * const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
 * format.generate("live"); // "ezt_live_…"
 *
 * @example
 * const legacy = keyFormat({ alphabet: "hex", length: 32, checksum: false }); // a bare 32-hex key
 */
export function keyFormat(given: KeyFormatOptions): GeneratedKeyFormat {
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
  if (typeof checksum !== "boolean") throw new TypeError('keyFormat: "checksum" must be true or false');
  if (!Number.isInteger(length) || length > 256 || length * Math.log2(alphabet.length) < MINIMUM_BITS) {
    throw new TypeError(
      `keyFormat: "length" must be an integer of at most 256 that gives at least ${MINIMUM_BITS} random bits ` +
        `(${Math.ceil(MINIMUM_BITS / Math.log2(alphabet.length))} characters of this alphabet)`,
    );
  }

  const digits = digitTable(alphabet);
  const leads = (environments ?? [undefined]).map((environment) => {
    const text = [prefix, environment, ""].filter((part) => part !== undefined).join("_");
    return {
      text,
      crc: crc32(text),
      parsed: Object.freeze({ environment }),
    };
  });
  const tail = length + (checksum ? CHECKSUM_LENGTH : 0);

  const parse = (secret: string): ParsedSecret | undefined => {
    for (const lead of leads) {
      const begin = lead.text.length;
      if (secret.length !== begin + tail || !secret.startsWith(lead.text)) continue;
      const end = begin + length;
      const table = CRC_TABLE;
      let crc = lead.crc;
      for (let i = begin; i < end; i++) {
        const code = secret.charCodeAt(i);
        if ((digits[code] ?? NO_DIGIT) === NO_DIGIT) return undefined;
        crc = crc32Step(crc, code, table);
      }
      return checksum && readChecksum(secret, end) !== crc32Value(crc) ? undefined : lead.parsed;
    }
    return undefined;
  };

  return Object.freeze({
    environments: environments && Object.freeze([...environments]),
    parse,
    generate(environment?: string): string {
      const lead = leads.find((candidate) => candidate.parsed.environment === environment);
      if (lead === undefined) {
        throw new TypeError(`keyFormat: cannot generate for ${named(environment)}; ${known(environments)}`);
      }
      const text = lead.text + randomText(alphabet, length);
      return checksum ? text + writeChecksum(crc32Value(crc32(text))) : text;
    },
    start(secret: string): string {
      const lead = leads.find(({ text }) => secret.startsWith(text));
      return secret.slice(0, (lead?.text.length ?? 0) + START_LENGTH);
    },
  });
}

/** The first format's reading of a secret; `undefined` when none knows it. */
export function parseSecret(secret: string, formats: readonly KeyFormat[]): ParsedSecret | undefined {
  // No format of ours is longer than this, and a custom one need not see what cannot be its own.
  if (secret.length > MAX_SECRET_CHARACTERS) return undefined;
  for (const format of formats) {
    const parsed = format.parse(secret);
    if (parsed) return parsed;
  }
  return undefined;
}

/** What is kept of a secret for display, also for formats that do not say. */
export function startOf(format: KeyFormat, secret: string): string {
  return format.start?.(secret) ?? secret.slice(0, START_LENGTH);
}

function readAlphabet(name: unknown): string {
  const alphabet =
    typeof name === "string" ? (Object.hasOwn(ALPHABETS, name) ? ALPHABETS[name] : name) : undefined;
  // The characters of RFC 6750's b64token; others could not be sent.
  if (
    alphabet === undefined ||
    !/^[A-Za-z0-9._~+/-]{2,}$/.test(alphabet) ||
    new Set(alphabet).size !== alphabet.length
  ) {
    throw new TypeError(
      'keyFormat: "alphabet" must be "base62", "hex" or different characters of A-Z a-z 0-9 . _ ~ + / -',
    );
  }
  return alphabet;
}

function checkPrefix(prefix: unknown): void {
  if (prefix === undefined) return;
  if (
    typeof prefix !== "string" ||
    !/^[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*$/.test(prefix) ||
    prefix.length > 32
  ) {
    throw new TypeError(
      'keyFormat: "prefix" must be letters, digits and single underscores, at most 32, a letter first',
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
      'keyFormat: "environments" must be different names of letters and digits, such as ["live", "test"]',
    );
  }
  if (prefix === undefined) throw new TypeError('keyFormat: "environments" need a "prefix" in front of them');
}

/** Draws characters without modulo bias: bytes past the last whole multiple of the alphabet are thrown away. */
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

const NO_DIGIT = 255;

function digitTable(alphabet: string): Uint8Array {
  const table = new Uint8Array(128).fill(NO_DIGIT);
  for (let i = 0; i < alphabet.length; i++) table[alphabet.charCodeAt(i)] = i;
  return table;
}

const BASE62_DIGITS: Uint8Array = digitTable(BASE62);

// CRC-32 as in ISO 3309 and zlib, by table: a running register, begun at all ones and inverted at the end.
const CRC_TABLE: Int32Array = Int32Array.from({ length: 256 }, (_, index) => {
  let crc = index;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

function crc32Step(register: number, code: number, table: Int32Array = CRC_TABLE): number {
  return (table[(register ^ code) & 0xff] as number) ^ (register >>> 8);
}

function crc32Value(register: number): number {
  return ~register >>> 0;
}

/** The register behind an ASCII text. */
function crc32(text: string): number {
  let register = -1;
  for (let i = 0; i < text.length; i++) register = crc32Step(register, text.charCodeAt(i));
  return register;
}

function writeChecksum(crc: number): string {
  let text = "";
  for (let rest = crc; text.length < CHECKSUM_LENGTH; rest = Math.floor(rest / 62))
    text = BASE62[rest % 62] + text;
  return text;
}

/** The number that six base62 digits stand for; -1 when one of them is no digit. */
function readChecksum(text: string, begin: number): number {
  let value = 0;
  for (let i = begin; i < begin + CHECKSUM_LENGTH; i++) {
    const digit = BASE62_DIGITS[text.charCodeAt(i)] ?? NO_DIGIT;
    if (digit === NO_DIGIT) return -1;
    value = value * 62 + digit;
  }
  return value;
}

function named(environment: string | undefined): string {
  return environment === undefined ? "no environment" : `environment "${environment}"`;
}

function known(environments: readonly string[] | undefined): string {
  return environments === undefined ? "this format has none" : `this format has ${environments.join(", ")}`;
}
