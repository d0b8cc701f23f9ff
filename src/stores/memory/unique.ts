import { type PackedTexts, packedTexts } from "./packed.js";
import { type RowIndex, rowIndex } from "./row-index.js";

/** A text for each row, by which the row is found: no two rows have the same. */
export type UniqueTexts = Pick<PackedTexts, "get" | "set" | "clear"> &
  Pick<RowIndex, "search"> & {
    /** The row that has this text. */
    find(text: string): number | undefined;
  };

/** Makes a column of different texts; see {@link packedTexts}. */
export function uniqueTexts(...options: Parameters<typeof packedTexts>): UniqueTexts {
  const texts = packedTexts(...options);
  const index = rowIndex(texts);
  const odd = new Map<string, number>();

  const search = <T>(
    text: string,
    recognise: (row: number, text: string) => T | undefined,
  ): T | undefined => {
    const found = index.search(text, recognise);
    if (found !== undefined || odd.size === 0) return found;
    const row = odd.get(text);
    return row === undefined ? undefined : recognise(row, text);
  };

  const rowIfSame = (row: number, text: string): number | undefined =>
    texts.get(row) === text ? row : undefined;

  return Object.freeze({
    get: texts.get,
    search,
    find: (text: string) => search(text, rowIfSame),

    set(row: number, text: string): void {
      texts.set(row, text);
      if (texts.isOdd(row)) odd.set(texts.get(row), row);
      else index.add(row);
    },

    clear(row: number): void {
      if (texts.isOdd(row)) odd.delete(texts.get(row));
      else index.remove(row);
      texts.clear(row);
    },
  });
}
