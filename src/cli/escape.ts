// Characters that move a cursor, change the state of a terminal, reorder text or are invisible: control and format
// characters (including bidirectional ones), line and paragraph separators, lone surrogates and private use.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;

/** Escapes a string for a terminal, on one line. */
export function escapeText(text: string): string {
  return text.replace(UNSAFE, (character) => `\\u{${(character.codePointAt(0) as number).toString(16)}}`);
}

/** Serializes a value as JSON that is safe for a terminal and parses to the same data. */
export function escapeJson(value: unknown, indent = 2): string {
  // Newlines come from the indentation only; in strings they are escaped already.
  return JSON.stringify(value, undefined, indent).replace(UNSAFE, (character) =>
    character === "\n" ? character : escapeUnits(character),
  );
}

function escapeUnits(character: string): string {
  const units = Array.from({ length: character.length }, (_, index) => character.charCodeAt(index));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}

/** Truncates a string to `max` characters, with an ellipsis. */
export function truncate(text: string, max: number): string {
  const characters = [...text];
  return characters.length <= max ? text : `${characters.slice(0, max - 1).join("")}…`;
}
