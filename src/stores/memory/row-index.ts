import { randomInt } from "node:crypto";

/** How many rows an index can hold. */
export const MAX_ROWS: number = 2 ** 26 - 1;

/** What rows are found by: two numbers of a text that are equal for equal texts. */
export interface Indexed {
  headOf(text: string): number;
  headAt(row: number): number;
  tailOf(text: string): number;
  tailAt(row: number): number;
}

/** Finds the row of a text. */
export interface RowIndex {
  /**
   * What `recognise` makes of the row that has this text. It is asked about each row that could be the one,
   * which is seldom another, and answers `undefined` when it is not.
   */
  search<T>(text: string, recognise: (row: number, text: string) => T | undefined): T | undefined;
  add(row: number): void;
  /** The row must have the text still with which it was added. */
  remove(row: number): void;
}

// A slot holds row + 1, and six bits of the mix that tell most other rows apart without a look at them.
const ROW = MAX_ROWS;
const MIN_SLOTS = 64;
const MAX_FULL = 0.75;

/**
 * Makes an index of four bytes a slot: open addressing with linear probing (Knuth, The Art of Computer
 * Programming, volume 3, section 6.4, algorithms L and R). What is removed leaves no mark behind.
 *
 * Where a text lies depends on a random number, so that nobody can prepare texts that crowd together.
 */
export function rowIndex({ headOf, headAt, tailOf, tailAt }: Indexed): RowIndex {
  const seed = randomInt(2 ** 32);
  let slots = new Int32Array(MIN_SLOTS); // of row + 1; 0 is free
  let last = MIN_SLOTS - 1;
  let count = 0;

  const mix = (head: number, tail: number): number => {
    // The multipliers are those of MurmurHash3's finalizer.
    let mixed = Math.imul(head ^ seed, 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 15) ^ tail, 0xc2b2ae35);
    return mixed ^ (mixed >>> 16);
  };

  const mixAt = (row: number): number => mix(headAt(row), tailAt(row));

  const place = (row: number): void => {
    const mixed = mixAt(row);
    let slot = mixed & last;
    while (slots[slot] !== 0) slot = (slot + 1) & last;
    slots[slot] = (mixed & ~ROW) | (row + 1);
  };

  const grow = (): void => {
    const smaller = slots;
    slots = new Int32Array(smaller.length * 2);
    last = slots.length - 1;
    for (const entry of smaller) if (entry !== 0) place(rowOf(entry));
  };

  return Object.freeze({
    search<T>(text: string, recognise: (row: number, text: string) => T | undefined): T | undefined {
      const mixed = mix(headOf(text), tailOf(text));
      for (let slot = mixed & last; slots[slot] !== 0; slot = (slot + 1) & last) {
        const entry = slots[slot] as number;
        if (((entry ^ mixed) & ~ROW) !== 0) continue;
        const found = recognise(rowOf(entry), text);
        if (found !== undefined) return found;
      }
      return undefined;
    },

    add(row: number): void {
      if (count >= slots.length * MAX_FULL) grow();
      place(row);
      count += 1;
    },

    remove(row: number): void {
      let hole = mixAt(row) & last;
      while (rowOf(slots[hole] as number) !== row) hole = (hole + 1) & last;
      for (let slot = (hole + 1) & last; slots[slot] !== 0; slot = (slot + 1) & last) {
        const entry = slots[slot] as number;
        const fromHome = (slot - mixAt(rowOf(entry))) & last;
        const fromHole = (slot - hole) & last;
        if (fromHome < fromHole) continue; // its search begins behind the hole
        slots[hole] = entry;
        hole = slot;
      }
      slots[hole] = 0;
      count -= 1;
    },
  });
}

function rowOf(entry: number): number {
  return (entry & ROW) - 1;
}
