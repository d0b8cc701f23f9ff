/** What was made of rows not long ago. */
export interface Recent<T> {
  /** What a row makes, from what is at hand or anew. */
  get(row: number): T;
  /** To be called with each change of a row: what was made of it must not be answered any more. */
  forget(row: number): void;
}

const SLOTS = 16_384;

/**
 * Keeps what `make` makes of a row when the row is asked for twice, and no other row of its slot in between. So
 * the rows in use are at hand, and one that is asked for once takes the place of none.
 */
export function recent<T>(make: (row: number) => T): Recent<T> {
  const rows = new Int32Array(SLOTS).fill(-1);
  const made = new Array<T | undefined>(SLOTS).fill(undefined);

  return Object.freeze({
    get(row: number): T {
      const slot = row % SLOTS;
      if (rows[slot] !== row) {
        rows[slot] = row;
        if (made[slot] !== undefined) made[slot] = undefined;
        return make(row);
      }
      const known = made[slot];
      if (known !== undefined) return known;
      const again = make(row);
      made[slot] = again;
      return again;
    },

    forget(row: number): void {
      const slot = row % SLOTS;
      if (rows[slot] !== row) return;
      rows[slot] = -1;
      made[slot] = undefined;
    },
  });
}
