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
