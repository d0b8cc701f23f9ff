/** A value for each row of a table. */
export interface Column<T> {
  get(row: number): T;
  set(row: number, value: T): void;
}

/** A {@link Column} of numbers in which rows can be looked for. */
export interface NumberColumn extends Column<number> {
  /** The last row before `row` that has this value, which must not be the empty one; -1 when there is none. */
  lastBefore(row: number, value: number): number;
}

/** A {@link Column} of moments in milliseconds since 1970; `null` stands for none. */
export interface MomentColumn extends Column<number | null> {
  /**
   * How far a walk towards row 0, looking for moments from `earliest` to `latest`, may leap without missing one:
   * `row` itself, or one before it.
   */
  leap(row: number, earliest: number, latest: number): number;
}

/** Rows of so many 32-bit words each, for what is read together. */
export interface Words {
  get(row: number, word: number): number;
  set(row: number, word: number, value: number): void;
  /** One of the words as a column of numbers from 0 to 2^32 - 1. */
  column(word: number): Column<number>;
}

// Rows lie in blocks, so that a table that grows never copies more than one of them.
const BLOCK_BITS = 16;
const MIN_ROWS = 64;

function blockOf(row: number): number {
  return row >>> BLOCK_BITS;
}

function placeOf(row: number): number {
  return row & ((1 << BLOCK_BITS) - 1);
}

/** The first row of a block. */
function firstOf(block: number): number {
  return block << BLOCK_BITS;
}

/** The number of rows to make room for so that this place is one of them: doubling, up to a whole block. */
function roomFor(place: number): number {
  return Math.max(MIN_ROWS, 1 << (32 - Math.clz32(place)));
}

/** Puts a block in its place, and leaves no hole before it. */
function putBlock<B>(blocks: (B | undefined)[], index: number, block: B): B {
  while (blocks.length < index) blocks.push(undefined);
  blocks[index] = block;
  return block;
}

/** Makes rows of words; all of them are 0. */
export function words(perRow: number): Words {
  const blocks: (Int32Array | undefined)[] = [];

  const get = (row: number, word: number): number =>
    blocks[blockOf(row)]?.[placeOf(row) * perRow + word] ?? 0;

  const set = (row: number, word: number, value: number): void => {
    const place = placeOf(row);
    let block = blocks[blockOf(row)];
    if (block === undefined || place * perRow >= block.length) {
      const longer = new Int32Array(roomFor(place) * perRow);
      if (block !== undefined) longer.set(block);
      block = putBlock(blocks, blockOf(row), longer);
    }
    block[place * perRow + word] = value;
  };

  return Object.freeze({
    get,
    set,
    column: (word: number) =>
      Object.freeze({
        get: (row: number) => get(row, word) >>> 0,
        set: (row: number, value: number) => set(row, word, value),
      }),
  });
}

type NumberBlock = Uint8Array | Uint16Array | Uint32Array | Float64Array;

const KINDS = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: Float64Array } as const;

/**
 * Makes a column of numbers that takes as few bytes as each block can do with: none while all of it are
 * `empty`, one for whole numbers below 256, then two, four, and eight for any number.
 */
export function numberColumn(empty = 0): NumberColumn {
  const blocks: (NumberBlock | undefined)[] = [];

  const widened = (block: NumberBlock | undefined, place: number, value: number): NumberBlock => {
    const bytes = Math.max(block?.BYTES_PER_ELEMENT ?? 1, bytesFor(value), bytesFor(empty));
    const Kind = KINDS[bytes as keyof typeof KINDS];
    const wider: NumberBlock = new Kind(Math.max(block?.length ?? 0, roomFor(place)));
    if (empty !== 0) wider.fill(empty);
    if (block !== undefined) wider.set(block);
    return wider;
  };

  return Object.freeze({
    get: (row: number) => blocks[blockOf(row)]?.[placeOf(row)] ?? empty,

    set(row: number, value: number): void {
      const place = placeOf(row);
      let block = blocks[blockOf(row)];
      if (block === undefined && value === empty) return;
      if (block === undefined || place >= block.length || bytesFor(value) > block.BYTES_PER_ELEMENT) {
        block = putBlock(blocks, blockOf(row), widened(block, place, value));
      }
      block[place] = value;
    },

    lastBefore(row: number, value: number): number {
      for (let before = row - 1; before >= 0; before = firstOf(blockOf(before)) - 1) {
        const place = blocks[blockOf(before)]?.lastIndexOf(value, placeOf(before)) ?? -1;
        if (place >= 0) return firstOf(blockOf(before)) + place;
      }
      return -1;
    },
  });
}

function bytesFor(value: number): keyof typeof KINDS {
  if (value >>> 0 !== value) return 8;
  return value < 2 ** 8 ? 1 : value < 2 ** 16 ? 2 : 4;
}

const NONE = 0;
const FAR = 2 ** 32 - 1;
const MIDDLE = 2 ** 31;

/** What a block of moments needs to know about them all. */
interface Span {
  /** What is added to a code. */
  readonly origin: number;
  earliest: number;
  latest: number;
}

/**
 * Makes a column of moments. One that lies within 24 days of the first one of its block takes the four bytes of
 * `codes`, another one eight more.
 */
export function momentColumn(codes: Column<number> = numberColumn()): MomentColumn {
  const spans: (Span | undefined)[] = [];
  const far = numberColumn();

  return Object.freeze({
    get(row: number): number | null {
      const span = spans[blockOf(row)];
      if (span === undefined) return null;
      const code = codes.get(row);
      if (code === NONE) return null;
      return code === FAR ? far.get(row) : span.origin + code;
    },

    set(row: number, time: number | null): void {
      if (time === null) {
        codes.set(row, NONE);
        return;
      }
      const first: Span = { origin: time - MIDDLE, earliest: time, latest: time };
      const span = spans[blockOf(row)] ?? putBlock(spans, blockOf(row), first);
      span.earliest = Math.min(span.earliest, time);
      span.latest = Math.max(span.latest, time);
      const code = time - span.origin;
      const isNear = code > NONE && code < FAR;
      codes.set(row, isNear ? code : FAR);
      if (!isNear) far.set(row, time);
    },

    leap(row: number, earliest: number, latest: number): number {
      const span = spans[blockOf(row)];
      const isInside = span !== undefined && span.latest >= earliest && span.earliest <= latest;
      return isInside ? row : firstOf(blockOf(row));
    },
  });
}
