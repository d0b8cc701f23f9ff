/** What was made of rows not long ago. */
export interface Recent<T> {
  get(row: number): T;
  /** The row has changed. */
  forget(row: number): void;
}

const SLOTS = 16_384;

/**
 * Keeps what `make` makes of a row when the row is asked for twice, and no other row of its slot in between.
 * So the rows that are in use are at hand, and those that are asked for once cost nothing to keep.
 */
export function recent<T extends object>(make: (row: number) => Readonly<T>): Recent<Readonly<T>> {
  const rows = new Int32Array(SLOTS).fill(-1);
  const made = new Array<Readonly<T> | undefined>(SLOTS).fill(undefined);

  return Object.freeze({
    get(row: number): Readonly<T> {
      const slot = row % SLOTS;
      if (rows[slot] === row) {
        made[slot] ??= make(row);
        return made[slot];
      }
      rows[slot] = row;
      if (made[slot] !== undefined) made[slot] = undefined;
      return make(row);
    },

    forget(row: number): void {
      const slot = row % SLOTS;
      if (rows[slot] !== row) return;
      rows[slot] = -1;
      made[slot] = undefined;
    },
  });
}
