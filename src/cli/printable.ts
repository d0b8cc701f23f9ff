// What moves a cursor, changes a terminal's state, turns text around or cannot be seen: control characters,
// format characters (bidirectional ones among them), line and paragraph separators, lone surrogates, private use.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;

/** A text of somebody else's, on one line, with everything that a terminal would act on written out. */
export function printable(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (character) => `\\u{${(character.codePointAt(0) as number).toString(16)}}`,
  );
}

/** JSON of the same data: still equal to it when it is parsed, and as harmless when it is looked at. */
export function printableJson(value: unknown, indent = 2): string {
  // The line ends are those of the indentation; in texts they are written out already.
  return JSON.stringify(value, undefined, indent).replace(UNPRINTABLE, (character) =>
    character === "\n" ? character : escaped(character),
  );
}

function escaped(character: string): string {
  const units = Array.from({ length: character.length }, (_, index) => character.charCodeAt(index));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}

/** At most so many characters of a text that is printable already. */
export function shortened(text: string, most: number): string {
  const characters = [...text];
  return characters.length <= most ? text : `${characters.slice(0, most - 1).join("")}…`;
}
