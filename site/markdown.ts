import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT: string = fileURLToPath(new URL("..", import.meta.url));

const FENCE = /^```.*?^```$/gms;

export function read(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

/** Changes the text of a document outside its code blocks. */
export function mapProse(text: string, change: (prose: string) => string): string {
  const fences = text.match(FENCE) ?? [];
  return text
    .split(FENCE)
    .map((prose, index) => change(prose) + (fences[index] ?? ""))
    .join("");
}

/**
 * Returns the part of a document below a heading of level two, without the heading.
 * @throws Error if there is no such heading.
 */
export function sectionOf(file: string, heading: string): string {
  const parts = read(file).split(/^## /m);
  const part = parts.find((text) => text.startsWith(`${heading}\n`));
  if (part === undefined) throw new Error(`${file} has no section "${heading}"`);
  return part.slice(heading.length + 1).trim();
}

/** Returns the cells of the tables of a text, row by row, with the rows of headings. */
export function tableRows(text: string): readonly (readonly string[])[] {
  return [...text.matchAll(/^\|(.*)\|$/gm)]
    .map(([, row = ""]) => row.split(/(?<!\\)\|/).map((cell) => cell.trim()))
    .filter((cells) => !cells.every((cell) => /^:?-+:?$/.test(cell)));
}

/** Returns the anchor of a heading as GitHub generates it. */
export function slugify(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replace(/\s/g, "-");
}
