// Longer than every member name of this library, and shorter than its secrets.
const MAX_UNREDACTED = 32;
const SHOWN = 12;

/**
 * Returns the name of an unknown member for an error message: unchanged if it has at most 32 letters, digits and `_`,
 * otherwise its first 12 characters, quoted and escaped. The name may be a misplaced secret, or contain a line break that
 * forges a log line.
 *
 * @example
 * redactName("ipAllowlist"); // ipAllowlist
 * redactName("ezt_live_0123456789abcdefghijklmnopqrstuv012345"); // "ezt_live_012…"
 */
export function redactName(name: string): string {
  if (name.length <= MAX_UNREDACTED && /^\w+$/.test(name)) return name;
  const quoted = quoteAscii(name.slice(0, SHOWN));
  return name.length > SHOWN ? `${quoted.slice(0, -1)}…"` : quoted;
}

/** Quotes a string as JSON, with every character outside printable ASCII escaped. */
export function quoteAscii(text: string): string {
  return JSON.stringify(text).replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

// What separates a secret from the rest of a text, first for alphabets with punctuation such as a dot. An escape is a word.
const WORDS = [/%[0-9a-f]{2}|[^\s%/?&=#@:;,+"'`<>()[\]{}|\\]+/gi, /%[0-9a-f]{2}|\w+/gi];

/**
 * Replaces the secrets in a URL or another text by `…`. Finds them next to and inside percent-encoding too. Removes the
 * userinfo of a URL, which may be a password of another service.
 *
 * @example
 * redactSecrets("https://a.example/?key=ezt_live_…", isSecret); // https://a.example/?key=…
 */
export function redactSecrets(text: string, isSecret: (word: string) => boolean): string {
  const redact = (given: string): string =>
    WORDS.reduce(
      (result, pattern) => result.replace(pattern, (word) => (isSecret(word) ? "…" : word)),
      given,
    );
  const redacted = redact(text.replace(/^([a-z][a-z\d+.-]*:\/\/)[^/?#]*@/i, "$1"));
  const decoded = redacted.replace(/%(?:[2-6][0-9a-f]|7[0-9a-e])/gi, (encoded) =>
    String.fromCharCode(Number.parseInt(encoded.slice(1), 16)),
  );
  const redactedDecoded = redact(decoded);
  return redactedDecoded === decoded ? redacted : redactedDecoded;
}
