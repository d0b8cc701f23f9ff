/** What was made of rows not long ago. */
export interface Recent<T> {
  /** What a row makes, from what is at hand or anew. */
  get(row: number): T;
  /** To be called with each change of a row: what was made of it must not be answered any more. */
  forget(row: number): void;
}

const SLOTS = 2 ** 14;
const LAST_SLOT: number = SLOTS - 1;

/**
 * Keeps what `make` makes of a row when the row is asked for twice, and no other row of its slot in between. So
 * the rows in use are at hand, and one that is asked for once takes the place of none.
 */
export function recent<T>(make: (row: number) => T): Recent<T> {
  // The number of a row, and behind it what was made: side by side, so that memory is waited for once.
  const slots: (number | T | undefined)[] = [];
  for (let slot = 0; slot < SLOTS; slot++) slots.push(-1, undefined);

  return Object.freeze({
    get(row: number): T {
      const slot = (row & LAST_SLOT) * 2;
      if (slots[slot] !== row) {
        slots[slot] = row;
        if (slots[slot + 1] !== undefined) slots[slot + 1] = undefined;
        return make(row);
      }
      const known = slots[slot + 1] as T | undefined;
      if (known !== undefined) return known;
      const again = make(row);
      slots[slot + 1] = again;
      return again;
    },

    forget(row: number): void {
      const slot = (row & LAST_SLOT) * 2;
      if (slots[slot] !== row) return;
      slots[slot] = -1;
      slots[slot + 1] = undefined;
    },
  });
}
