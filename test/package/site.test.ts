import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { FOLDER, staleDiagrams, THEMES } from "../../site/diagrams.js";
import { figures, peers } from "../../site/landing.js";
import { routeOf, sections } from "../../site/pages.js";
import { markdownFiles, root } from "./markdown.js";

const sources = sections.flatMap(({ pages }) => pages).map(({ source }) => source);

describe("the site", () => {
  it("lists every page of docs/ once in site/pages.ts", () => {
    const pages = markdownFiles().filter((name) => name.startsWith("docs/") && name !== "docs/README.md");
    expect(sources.filter((source) => source.startsWith("docs/")).sort()).toEqual([...pages].sort());
    expect(sources.filter((source, index) => sources.indexOf(source) !== index)).toEqual([]);
  });

  it("has a route of its own for every page", () => {
    const routes = sources.map(routeOf);
    expect(new Set(routes).size).toBe(routes.length);
    expect(routes).toContain("/get-started");
    expect(routeOf("test/README.md")).toBeUndefined();
  });

  it("has a picture for every diagram, and no other. Run npm run docs:diagrams", () => {
    expect(staleDiagrams()).toEqual([]);
    const pictures = readdirSync(FOLDER);
    expect(pictures.length).toBeGreaterThanOrEqual(6 * THEMES.length);
    for (const picture of pictures) expect(readFileSync(join(FOLDER, picture), "utf8")).toContain("<title");
  });

  it("takes the peers and the figures of the landing page from the comparison and the README", () => {
    expect(peers().split("\n").length).toBeGreaterThanOrEqual(2 + 8);
    expect(figures()).toContain("| ratio");
  });

  it("shows no whole secret in a picture", () => {
    for (const picture of ["cli.svg", "demo.svg"]) {
      const text = readFileSync(join(root, "site/public/screenshots", picture), "utf8");
      expect(text).toContain("ezt_live_");
      expect(text).not.toMatch(/ezt_(?:live|test)_\w{12,}/);
    }
  });

  it("is not published with the package", () => {
    expect(manifest.files.filter((name) => name.startsWith("site"))).toEqual([]);
    const names = Object.keys(manifest.devDependencies);
    expect(names.filter((name) => /vitepress|mermaid|typedoc/.test(name))).toEqual([]);
  });
});
