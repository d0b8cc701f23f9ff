import { inspect } from "node:util";

/** A text that nobody may see. */
export interface Hidden {
  readonly name: string;
  readonly text: string;
  /** How many of its first characters may be shown. None when absent. */
  readonly shown?: number;
  /** How many characters lie between the windows that are searched for. 1 when absent. */
  readonly step?: number;
}

/** What is found counts from so many characters on, wherever in the text they stand. */
const WINDOW = 16;
/** So few different characters are found in what is no secret too: runs of zeros, or of one letter. */
const FEWEST_DIFFERENT = 7;

/** How a text could be written down: as it is, backwards, escaped, and encoded wherever in a larger text it stands. */
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

/** The parts of a text of which none may be found, and the whole of it. */
function windowsOf({ text, shown = 0, step = 1 }: Hidden): readonly string[] {
  const windows = new Set<string>();
  if (text.length >= WINDOW) windows.add(text);
  for (let at = shown; at + WINDOW <= text.length; at += step) windows.add(text.slice(at, at + WINDOW));
  return [...windows].filter((window) => new Set(window).size >= FEWEST_DIFFERENT);
}

interface Needle {
  readonly spelling: string;
  readonly name: string;
}

const FACTOR = 0x01000193;
const LAST_FACTOR = Array.from({ length: WINDOW }).reduce<number>((power) => Math.imul(power, FACTOR), 1);
const BITS = 22;

/**
 * Makes a search for all of them at once: the names of what is found. A rolling hash (Rabin and Karp) of the last
 * characters is looked up at every place, so that its time does not grow with how much there is to find.
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

/** A thing in every form in which it is printed or sent. */
export function printed(thing: unknown): string {
  const forms = [inspect(thing, EVERYTHING)];
  for (const write of [String, JSON.stringify]) {
    try {
      forms.push(write(thing) ?? "");
    } catch {
      // What has cycles, or no prototype, is not written so.
    }
  }
  if (thing instanceof Error) forms.push(thing.message, thing.stack ?? "", inspect(thing.cause, EVERYTHING));
  return forms.join("\n");
}
