import { numberColumn } from "./columns.js";

/**
 * Values that rows share: equal ones are kept once, and rows have their numbers. A value is forgotten with the
 * last row that has it. The number 0 stands for `null`.
 */
export interface Pool<T> {
  get(number: number): T | null;
  /** The number of the value of a key, if there is one. */
  find(key: string | null): number | undefined;
  /** The number of the value of a key, for one more row. */
  take(key: string | null): number;
  /** One row less has the value. */
  release(number: number): void;
}

/** Makes a pool of what `make` makes of each key. */
export function createPool<T>(make: (key: string) => T): Pool<T> {
  const numbers = new Map<string, number>();
  const keys: (string | null)[] = [null];
  const values: (T | null)[] = [null];
  const uses = numberColumn();
  const free: number[] = [];

  const add = (given: string): number => {
    const key = flatCopy(given);
    const value = make(key);
    const number = free.pop() ?? values.length;
    numbers.set(key, number);
    keys[number] = key;
    values[number] = value;
    return number;
  };

  return Object.freeze({
    get: (number: number) => values[number] ?? null,

    find: (key: string | null) => (key === null ? 0 : numbers.get(key)),

    take(key: string | null): number {
      if (key === null) return 0;
      const number = numbers.get(key) ?? add(key);
      uses.set(number, uses.get(number) + 1);
      return number;
    },

    release(number: number): void {
      if (number === 0) return;
      uses.set(number, uses.get(number) - 1);
      if (uses.get(number) > 0) return;
      numbers.delete(keys[number] as string);
      keys[number] = null;
      values[number] = null;
      free.push(number);
    },
  });
}

/**
 * The same text in memory of its own. A text that was cut out of another one keeps that one in memory: the
 * start of a secret would keep the secret.
 */
export function flatCopy(text: string): string {
  return JSON.parse(JSON.stringify(text));
}
