import type { KeyRecord } from "../../index.js";

/** Records that were made of rows not long ago. */
export interface RecentRecords {
  /** The record of a hash, if it is among them. */
  find(hash: string): KeyRecord | undefined;
  /** The record of a row, from among them or made anew. */
  get(row: number): KeyRecord;
  /** To be called with each change of a row: its record must not be answered any more. */
  forget(row: number): void;
}

const SLOTS = 16_384;

/**
 * Keeps the record that `make` makes of a row when the row is asked for twice, and no other row of its slot in
 * between. So the keys that are in use are at hand, in some 10 MB at most, and a key that is asked for once
 * takes the place of none.
 */
export function recentRecords(make: (row: number) => KeyRecord): RecentRecords {
  const rows = new Int32Array(SLOTS).fill(-1);
  const records = new Array<KeyRecord | undefined>(SLOTS).fill(undefined);
  const byHash = new Map<string, KeyRecord>();

  const clear = (slot: number): void => {
    const record = records[slot];
    if (record === undefined) return;
    byHash.delete(record.hash);
    records[slot] = undefined;
  };

  return Object.freeze({
    find: (hash: string) => byHash.get(hash),

    get(row: number): KeyRecord {
      const slot = row % SLOTS;
      const isSecond = rows[slot] === row;
      const known = isSecond ? records[slot] : undefined;
      if (known !== undefined) return known;
      const record = make(row);
      if (isSecond) {
        records[slot] = record;
        byHash.set(record.hash, record);
      } else {
        clear(slot);
        rows[slot] = row;
      }
      return record;
    },

    forget(row: number): void {
      const slot = row % SLOTS;
      if (rows[slot] !== row) return;
      clear(slot);
      rows[slot] = -1;
    },
  });
}
