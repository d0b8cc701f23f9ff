// The names that people mean are shorter, the secrets of this library longer.
const MAX_AS_IS = 32;
const MAX_OF_OTHERS = 12;

/**
 * The name of a member that somebody else made up, for a path or a message: as it is when it has at most 32 letters,
 * digits and `_`, else its first 12 characters in quotes, with "…" for the rest. Nobody shall get a secret back, or find
 * it in a log, that was sent as a name; and a name must not forge a line of a log.
 *
 * @example
 * shownName("ipAllowlist"); // ipAllowlist
 * shownName("ezt_live_0123456789abcdefghijklmnopqrstuv012345"); // "ezt_live_012…"
 */
export function redactName(name: string): string {
  if (name.length <= MAX_AS_IS && /^\w+$/.test(name)) return name;
  const beginning = quoteAscii(name.slice(0, MAX_OF_OTHERS));
  return name.length > MAX_OF_OTHERS ? `${beginning.slice(0, -1)}…"` : beginning;
}

/** A text in quotes and in ASCII. */
export function quoteAscii(text: string): string {
  return JSON.stringify(text).replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
