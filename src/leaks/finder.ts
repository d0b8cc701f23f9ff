import type { KeyFormat } from "../kit.js";

/** A format with a `pattern`. */
export type ScannableFormat = Pick<KeyFormat, "parse"> & { readonly pattern: string };

/** Something that a finder found in a text. */
export interface Found {
  /** The secret; `undefined` for a match of `marker`. */
  readonly secret?: string;
  /** The match of `marker`. */
  readonly marker?: RegExpExecArray;
  /** Counted from 1. */
  readonly line: number;
}

// Longer than every secret, and every marker that matters.
const OVERLAP = 1_024;
const WORD = /[0-9A-Za-z_]/;

/**
 * Creates a function that finds secrets in a text of any length, which it receives in parts, and keeps 1 KiB of it. The
 * parts are strings in which each character is a byte, so that it reads binary files too. `marker` is searched as well, for
 * example for the names of files in a diff. Pass `isEnd` with the last part.
 */
export function createFinder(
  formats: readonly ScannableFormat[],
  marker?: RegExp,
): (part: string, isEnd?: boolean) => Found[] {
  const patterns = formats.map(({ pattern, parse }) => ({
    regex: new RegExp(pattern, "g"),
    // A secret without a prefix could be a part of any longer word.
    isBounded: !/^[0-9A-Za-z]/.test(pattern),
    parse,
  }));
  let text = "";
  let before = "";
  let line = 1;

  return (part, isEnd = false) => {
    text += part;
    const end = isEnd ? text.length : text.length - OVERLAP;
    if (end <= 0) return [];
    const found: { readonly index: number; readonly secret?: string; readonly marker?: RegExpExecArray }[] =
      [];
    for (const { regex, isBounded, parse } of patterns) {
      regex.lastIndex = 0;
      for (let match = regex.exec(text); match !== null; match = regex.exec(text)) {
        const { index } = match;
        if (index >= end) break;
        const [secret] = match;
        const neighbors = [text[index - 1] ?? (index === 0 ? before : ""), text[index + secret.length] ?? ""];
        if (isBounded && neighbors.some((character) => WORD.test(character))) regex.lastIndex = index + 1;
        else if (parse(secret) !== undefined) found.push({ index, secret });
        else regex.lastIndex = index + 1; // a secret may begin inside an invalid one
      }
    }
    if (marker !== undefined) {
      for (const match of text.matchAll(marker))
        if (match.index < end) found.push({ index: match.index, marker: match });
    }
    found.sort((a, b) => a.index - b.index);
    let counted = 0;
    const countTo = (index: number): number => {
      for (; counted < index; counted++) if (text.charCodeAt(counted) === 10) line += 1;
      return line;
    };
    const result = found.map(({ index, ...rest }) => ({ ...rest, line: countTo(index) }));
    countTo(end);
    before = text[end - 1] ?? "";
    text = text.slice(end);
    return result;
  };
}
