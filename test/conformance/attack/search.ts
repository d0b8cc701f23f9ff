import { inspect } from "node:util";

/** A string that must not appear in any output. */
export interface Hidden {
  readonly name: string;
  readonly text: string;
  /** The number of first characters that may be shown. 0 by default. */
  readonly shown?: number;
  /** The distance between the windows that are searched for. 1 by default. */
  readonly step?: number;
}

/** The length of a substring that counts as a leak. */
const WINDOW = 16;
/** Substrings with fewer distinct characters, such as runs of zeros, also occur without a leak. */
const MIN_DISTINCT = 7;

/** Returns the forms in which a string could appear: plain, reversed, escaped and encoded, at any offset of a larger text. */
export function spellingsOf(text: string): readonly string[] {
  const bytes = Buffer.from(text);
  const base64 = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString("base64")
      .slice(Math.ceil((shift * 8) / 6), -4),
  );
  const hex = bytes.toString("hex");
  const percent = (only: RegExp) =>
    text.replace(only, (character) => `%${Buffer.from(character).toString("hex")}`);
  const unicode = hex.replace(/../g, "\\u00$&");
  return [
    ...new Set([
      text,
      [...text].reverse().join(""),
      ...base64,
      ...base64.map((each) => each.replaceAll("+", "-").replaceAll("/", "_")),
      hex,
      hex.toUpperCase(),
      percent(/[^A-Za-z0-9]/g),
      percent(/./gs),
      percent(/./gs).toUpperCase(),
      JSON.stringify(text).slice(1, -1),
      unicode,
    ]),
  ];
}

/** Returns the substrings that must not be found. */
function windowsOf({ text, shown = 0, step = 1 }: Hidden): readonly string[] {
  const windows = new Set<string>();
  if (text.length >= WINDOW) windows.add(text);
  for (let at = shown; at + WINDOW <= text.length; at += step) windows.add(text.slice(at, at + WINDOW));
  return [...windows].filter((window) => new Set(window).size >= MIN_DISTINCT);
}

interface Needle {
  readonly spelling: string;
  readonly name: string;
}

const FACTOR = 0x01000193;
const LAST_FACTOR = Array.from({ length: WINDOW }).reduce<number>((power) => Math.imul(power, FACTOR), 1);
const BITS = 22;

/**
 * Creates a function that returns the names of all hidden strings in a text. It uses a rolling hash (Rabin-Karp), so its
 * time does not depend on the number of hidden strings.
 */
export function searchFor(hidden: Iterable<Hidden>): (text: string) => readonly string[] {
  const needles = new Map<number, Needle[]>();
  const maybe = new Uint8Array(2 ** BITS);
  for (const one of hidden) {
    for (const window of windowsOf(one)) {
      for (const spelling of spellingsOf(window)) {
        let hash = 0;
        for (let at = 0; at < WINDOW; at++) hash = (Math.imul(hash, FACTOR) + spelling.charCodeAt(at)) | 0;
        const list = needles.get(hash);
        if (list === undefined) needles.set(hash, [{ spelling, name: one.name }]);
        else list.push({ spelling, name: one.name });
        maybe[hash >>> (32 - BITS)] = 1;
      }
    }
  }
  return (text) => {
    const found = new Set<string>();
    let hash = 0;
    for (let at = 0; at < text.length; at++) {
      const gone = at < WINDOW ? 0 : text.charCodeAt(at - WINDOW);
      hash = (Math.imul(hash, FACTOR) + text.charCodeAt(at) - Math.imul(gone, LAST_FACTOR)) | 0;
      if (at < WINDOW - 1 || maybe[hash >>> (32 - BITS)] === 0) continue;
      for (const { spelling, name } of needles.get(hash) ?? [])
        if (text.startsWith(spelling, at - WINDOW + 1)) found.add(name);
    }
    return [...found];
  };
}

const EVERYTHING = {
  depth: Number.POSITIVE_INFINITY,
  showHidden: true,
  maxStringLength: null,
  maxArrayLength: null,
  getters: true,
};

/** Returns a value in every form in which it could be printed or sent. */
export function printed(thing: unknown): string {
  const forms = [inspect(thing, EVERYTHING)];
  for (const write of [String, JSON.stringify]) {
    try {
      forms.push(write(thing) ?? "");
    } catch {
      // cycles, or no prototype
    }
  }
  if (thing instanceof Error) forms.push(thing.message, thing.stack ?? "", inspect(thing.cause, EVERYTHING));
  return forms.join("\n");
}
