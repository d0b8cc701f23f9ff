import { numberColumn, type Words } from "./columns.js";
import { flatCopy } from "./pool.js";

/** A text for each row. Those that end in hex digits take half a byte for each digit. */
export interface PackedTexts {
  get(row: number): string;
  set(row: number, text: string): void;
  clear(row: number): void;
  /** Whether the text of a row is an odd one: it could not be packed, and is kept as it is. */
  isOdd(row: number): boolean;
  /** The first eight digits of a text as a number; without meaning for an odd one, as are the others here. */
  headOf(text: string): number;
  headAt(row: number): number;
  /** The last eight. */
  tailOf(text: string): number;
  tailAt(row: number): number;
}

/** Where a text with a certain lead is put together: its bytes, and its digits as pairs of them. */
interface Spelling {
  readonly bytes: Buffer;
  readonly pairs: Uint16Array;
}

const DIGITS_IN_WORD = 8;
const ODD = 255;
// A lead is never forgotten, so there is an end to their number and length.
const MAX_LEADS = 255;
const LEAD = /^[\x20-\x7e]{0,64}$/;
const HEX = /^[0-9a-f]+$/;

/**
 * Makes a column of texts of which most are a lead, such as `key_` or none, and so many lower-case hex digits.
 * The digits are words of the rows, from `first` on; `copy` makes the copy of an odd text that is kept.
 */
export function packedTexts(
  rows: Words,
  first: number,
  digits: number,
  copy: (text: string) => string = flatCopy,
): PackedTexts {
  const count = digits / DIGITS_IN_WORD;
  const leads: string[] = [];
  const spellings: Spelling[] = [];
  const leadAt = numberColumn();
  const odd: (string | undefined)[] = [];

  /** The number of a lead, or `ODD` when there is no room for it. */
  const numberOf = (lead: string): number => {
    const known = leads.indexOf(lead);
    if (known >= 0) return known;
    if (leads.length === MAX_LEADS || !LEAD.test(lead)) return ODD;
    spellings.push(spellingOf(lead, digits));
    return leads.push(flatCopy(lead)) - 1;
  };

  return Object.freeze({
    get(row: number): string {
      const lead = leadAt.get(row);
      if (lead === ODD) return odd[row] as string;
      const { bytes, pairs } = spellings[lead] as Spelling;
      for (let word = 0; word < count; word++) spellWord(pairs, word * 4, rows.get(row, first + word));
      return bytes.toString("latin1");
    },

    set(row: number, text: string): void {
      const begin = text.length - digits;
      const isHex = begin >= 0 && HEX.test(text.slice(begin));
      const lead = isHex ? numberOf(text.slice(0, begin)) : ODD;
      leadAt.set(row, lead);
      if (lead === ODD) odd[row] = copy(text);
      else {
        for (let word = 0; word < count; word++) {
          rows.set(row, first + word, readWord(text, begin + word * DIGITS_IN_WORD));
        }
      }
    },

    clear(row: number): void {
      if (leadAt.get(row) === ODD) odd[row] = undefined;
      leadAt.set(row, 0);
      for (let word = 0; word < count; word++) rows.set(row, first + word, 0);
    },

    isOdd: (row: number) => leadAt.get(row) === ODD,
    headOf: (text: string) => readWord(text, text.length - digits),
    headAt: (row: number) => rows.get(row, first),
    tailOf: (text: string) => readWord(text, text.length - DIGITS_IN_WORD),
    tailAt: (row: number) => rows.get(row, first + count - 1),
  });
}

/** Eight lower-case hex digits of a text as a 32-bit number; some number or other for anything else. */
export function readWord(text: string, begin: number): number {
  const end = begin + DIGITS_IN_WORD;
  let word = 0;
  for (let i = begin; i < end; i++) {
    const code = text.charCodeAt(i); // 0x30 and on for digits, 0x61 and on for letters
    word = (word << 4) + (code & 15) + (code >>> 6) * 9;
  }
  return word | 0;
}

function spellingOf(lead: string, digits: number): Spelling {
  // The pairs have to lie at an even place.
  const begin = lead.length + (lead.length % 2);
  const memory = new ArrayBuffer(begin + digits);
  const bytes = Buffer.from(memory, begin - lead.length);
  bytes.write(lead, "latin1");
  return { bytes, pairs: new Uint16Array(memory, begin) };
}

// The two digits of each byte, as the processor would read them.
const PAIRS = new Uint16Array(256);
for (let value = 0; value < 256; value++) {
  Buffer.from(PAIRS.buffer).write(value.toString(16).padStart(2, "0"), value * 2, "latin1");
}

function spellWord(pairs: Uint16Array, begin: number, word: number): void {
  pairs[begin] = PAIRS[word >>> 24] as number;
  pairs[begin + 1] = PAIRS[(word >>> 16) & 255] as number;
  pairs[begin + 2] = PAIRS[(word >>> 8) & 255] as number;
  pairs[begin + 3] = PAIRS[word & 255] as number;
}
