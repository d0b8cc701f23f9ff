import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import manifest from "../package.json" with { type: "json" };
import { withPictures } from "./diagrams.js";
import { codeTabs, figures, peers } from "./landing.js";
import { mapProse, ROOT, read } from "./markdown.js";
import { routeOf, sections } from "./pages.js";

export const PAGES: string = join(ROOT, "site/.pages");

const REPOSITORY = manifest.repository.url.replace(/^git\+|\.git$/g, "");

/** Writes the pages of the site from those of the repository, with links between pages of the site. */
export function assemble(): void {
  rmSync(PAGES, { recursive: true, force: true });
  for (const { pages } of sections) {
    for (const { source } of pages) {
      const text = source === "README.md" ? getStarted() : read(source);
      write(`${routeOf(source)}.md`, withPictures(source, withRoutes(source, text)));
    }
  }
  write("index.md", withRoutes("README.md", landingPage()));
  cpSync(join(ROOT, "site/public"), join(PAGES, "public"), { recursive: true });
}

function write(path: string, text: string): void {
  const file = join(PAGES, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

/** Points relative links to the route of a page, or to the repository if the file is not on the site. */
function withRoutes(source: string, text: string): string {
  const resolve = (link: string) => {
    if (/^[a-z]+:|^[#/]/.test(link)) return link;
    const [path = "", anchor] = link.split("#");
    const file = posix.normalize(posix.join(posix.dirname(source), path));
    const target = routeOf(file) ?? `${REPOSITORY}/blob/main/${file}`;
    return anchor === undefined ? target : `${target}#${anchor}`;
  };
  return mapProse(text, (prose) =>
    prose.replace(/\]\(([^()\s]+)\)/g, (_, link: string) => `](${resolve(link)})`),
  );
}

/** The README without what the landing page shows: the introduction, the comparison, the figures and the index. */
function getStarted(): string {
  const [, ...parts] = read("README.md").split(/^## /m);
  const hidden = /^(?:Comparison|Performance|Documentation)\b/;
  return `# Get started\n\n${parts
    .filter((part) => !hidden.test(part))
    .map((part) => `## ${part}`)
    .join("")}`;
}

function landingPage(): string {
  const parts: Readonly<Record<string, () => string>> = { "code tabs": codeTabs, peers, figures };
  return read("site/index.md").replace(/^<!-- (code tabs|peers|figures) -->$/gm, (_, name: string) =>
    (parts[name] as () => string)(),
  );
}
