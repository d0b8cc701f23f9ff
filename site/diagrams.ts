import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, read } from "./markdown.js";
import { sections } from "./pages.js";

export const FOLDER: string = join(ROOT, "site/public/diagrams");
export const THEMES = ["light", "dark"] as const;

/** A mermaid block of a page, and the name of its pictures without theme and suffix. */
export interface Diagram {
  readonly name: string;
  readonly source: string;
  /** What the picture shows, for readers who cannot see it: the `accTitle` of the source. */
  readonly title: string;
}

const BLOCK = /^```mermaid\n(.*?)^```$/gms;

/**
 * Returns the diagrams of a page. The name has a hash of the source, so a changed source has no picture.
 * @throws Error if a diagram has no `accTitle`.
 */
export function diagramsOf(file: string): readonly Diagram[] {
  return [...read(file).matchAll(BLOCK)].map(([, source = ""]) => {
    const title = /^\s*accTitle: *(.+)$/m.exec(source)?.[1];
    if (title === undefined) throw new Error(`${file}: a mermaid block has no accTitle`);
    const hash = createHash("sha256").update(source).digest("hex").slice(0, 8);
    return { name: `${file.replace(/^.*\/|\.md$/g, "")}-${hash}`, source, title };
  });
}

export function allDiagrams(): readonly Diagram[] {
  return sections.flatMap(({ pages }) => pages).flatMap(({ source }) => diagramsOf(source));
}

/** Returns the names of pictures that are missing, and of pictures without a diagram. */
export function staleDiagrams(): readonly string[] {
  const expected = new Set(
    allDiagrams().flatMap(({ name }) => THEMES.map((theme) => `${name}.${theme}.svg`)),
  );
  const existing = new Set(readdirSync(FOLDER));
  return [
    ...[...expected].filter((name) => !existing.has(name)),
    ...[...existing].filter((name) => !expected.has(name)),
  ];
}

/** Replaces the mermaid blocks of a page by their pictures. */
export function withPictures(file: string, text: string): string {
  const diagrams = diagramsOf(file);
  let index = 0;
  return text.replace(BLOCK, () => {
    const { name, title } = diagrams[index++] as Diagram;
    const images = THEMES.map((theme) => {
      const svg = readFileSync(join(FOLDER, `${name}.${theme}.svg`), "utf8");
      const [, width = "", height = ""] = /viewBox="\S+ \S+ (\S+) (\S+)"/.exec(svg) ?? [];
      const size = `width="${Math.ceil(Number(width))}" height="${Math.ceil(Number(height))}"`;
      return `<img class="${theme}-only" src="/diagrams/${name}.${theme}.svg" alt="${title}" ${size} loading="lazy">`;
    });
    return `<figure class="diagram">${images.join("")}</figure>`;
  });
}
