import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { slugify } from "../../site/markdown.js";

export const root: string = new URL("../..", import.meta.url).pathname;

/** A fenced block of code. */
export interface Block {
  readonly file: string;
  /** The line of the fence. */
  readonly line: number;
  /** The language after the fence, such as `ts`. */
  readonly language: string;
  readonly code: string;
  /** The HTML comment on the line before the fence, such as `run`. */
  readonly mark: string | undefined;
  /** The file name in a comment on the first line, such as `auth.ts`. */
  readonly name: string | undefined;
}

/** Returns the paths of all documents, relative to the root. */
export function markdownFiles(): readonly string[] {
  const top = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "bench/README.md",
    "test/README.md",
  ];
  const below = ["docs", "examples"].flatMap((folder) =>
    (readdirSync(join(root, folder), { recursive: true }) as string[]).map((name) => `${folder}/${name}`),
  );
  return [...top, ...below.filter((name) => name.endsWith(".md") && !name.startsWith("docs/api/")).sort()];
}

export function textOf(file: string): string {
  return readFileSync(join(root, file), "utf8");
}

const FENCE = /^(?:<!-- (?<mark>[^\n]*) -->\n)?```(?<language>\w*)\n(?<code>.*?)^```$/gms;

export function blocksOf(file: string): readonly Block[] {
  const text = textOf(file);
  return [...text.matchAll(FENCE)].map(({ index, groups = {} }) => {
    const { mark, language = "", code = "" } = groups;
    const line = text.slice(0, index).split("\n").length + (mark === undefined ? 0 : 1);
    const name = /^\/\/ ([\w-]+\.[jt]s)$/.exec(code.split("\n", 1)[0] ?? "")?.[1];
    return { file, line, language, code, mark, name };
  });
}

/** Returns a document without its code blocks. */
export function proseOf(file: string): string {
  return textOf(file).replace(FENCE, "");
}

/** Returns the targets of the links of a document. */
export function linksOf(file: string): readonly string[] {
  const prose = proseOf(file).replace(/`[^`\n]*`/g, "code");
  return [...prose.matchAll(/\]\(([^()\s]+)\)/g)].map(([, target = ""]) => target);
}

/** Returns the anchors of a document, as GitHub generates them from headings. */
export function anchorsOf(file: string): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const [, heading = ""] of proseOf(file).matchAll(/^#{1,6} +(.*)$/gm)) {
    const slug = slugify(heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1"));
    let anchor = slug;
    for (let count = 1; anchors.has(anchor); count++) anchor = `${slug}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}
