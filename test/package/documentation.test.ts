import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { VERIFIER_OPTIONS } from "../../src/kit.js";
import { anchorsOf, linksOf, markdownFiles, proseOf, root, textOf } from "./markdown.js";

const files = markdownFiles();
const everything = files.map(textOf).join("\n");
const sources = (readdirSync(join(root, "src"), { recursive: true }) as string[])
  .filter((name) => name.endsWith(".ts"))
  .map((name) => ({ name, text: readFileSync(join(root, "src", name), "utf8") }));
/** Without the command line, which has its own errors. */
const library = sources.filter(({ name }) => !/^(?:cli|dashboard\/client)\//.test(name));

describe("links", () => {
  it.each(files)("of %s lead to existing files and headings", (file) => {
    for (const link of linksOf(file)) {
      if (/^https?:/.test(link)) continue;
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? file : normalize(join(dirname(file), path));
      expect(existsSync(join(root, target)), `${file}: ${link}`).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(target), `${file}: ${link}`).toContain(anchor);
    }
  });

  it("of README and docs lead to published files, examples, benchmark or tests", () => {
    const published = [...manifest.files, "README.md", "bench", "examples", "test"];
    for (const file of files.filter((name) => name === "README.md" || name.startsWith("docs/"))) {
      for (const link of linksOf(file)) {
        if (/^https?:|^#/.test(link)) continue;
        const target = normalize(join(dirname(file), link.split("#")[0] ?? ""));
        expect(published, `${file}: ${link}`).toContain(target.split("/")[0]?.replace(/^\.$/, "README.md"));
      }
    }
  });

  it("of docs/README.md reach every page", () => {
    const reached = new Set(
      linksOf("docs/README.md").map((link) => normalize(join("docs", link.split("#")[0] ?? ""))),
    );
    const pages = files.filter((name) => name.startsWith("docs/") && name !== "docs/README.md");
    expect(pages.filter((page) => !reached.has(page))).toEqual([]);
    expect(linksOf("README.md")).toContain("docs/README.md");
  });
});

describe("names in the documentation exist", () => {
  it("npm scripts", () => {
    const named = [...everything.matchAll(/npm run (?:--silent )?([a-z][\w:-]*)/g)].map(
      ([, name = ""]) => name,
    );
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => !(name in manifest.scripts))).toEqual([]);
  });

  it("files in commands", () => {
    const named = [...everything.matchAll(/^(?:node|npx tsx) (?:--\S+ (?:tsx )?)*([\w./-]+\.ts)/gm)];
    for (const [line, name = ""] of named) expect(existsSync(join(root, name)), line).toBe(true);
  });

  it("codes of errors and warnings", () => {
    const known = sources.flatMap(({ text }) => text.match(/KEYBEARER_[A-Z_]+/g) ?? []);
    const named = everything.match(/KEYBEARER_[A-Z_]+/g) ?? [];
    expect(named.filter((code) => !known.includes(code))).toEqual([]);
  });
});

describe("the documentation has", () => {
  it("every subpath", () => {
    const pages = files
      .filter((name) => name.startsWith("docs/"))
      .map(textOf)
      .join("\n");
    const subpaths = Object.keys(manifest.exports).filter((path) => path !== "./package.json");
    expect(subpaths.filter((path) => !pages.includes(`"${path.replace(/^\./, "keybearer")}"`))).toEqual([]);
  });

  it("every code of an error or a warning, in docs/errors.md", () => {
    const codes = library.flatMap(({ text }) =>
      [...text.matchAll(/(?:\bcode: |\bwarn(?:Once)?\(\s*)"(KEYBEARER_[A-Z_]+)"/g)].map(
        ([, code = ""]) => code,
      ),
    );
    expect(codes).toContain("KEYBEARER_UNAVAILABLE");
    expect(codes).toContain("KEYBEARER_STORE_ERROR");
    const page = textOf("docs/errors.md");
    expect(codes.filter((code) => !page.includes(`\`${code}\``))).toEqual([]);
  });

  it("every exported error class, in docs/errors.md", () => {
    const classes = library.flatMap(({ text }) =>
      [...text.matchAll(/^export class (\w+) extends \w*Error\b/gm)].map(([, name = ""]) => name),
    );
    expect(classes).toContain("StoreError");
    const page = textOf("docs/errors.md");
    expect(classes.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });

  it("every option of verifiers, guards, managers and formats, in docs/options.md", () => {
    const options = [
      ...VERIFIER_OPTIONS,
      ...optionsIn("core/manager/options.ts"),
      ...["onError", "errorBody", "remoteAddress", "optional"],
      ...["prefix", "environments", "alphabet", "length", "checksum"],
    ];
    expect(options.length).toBeGreaterThan(25);
    const page = textOf("docs/options.md");
    expect(options.filter((name) => !page.includes(`\`${name}\``) && !page.includes(`\`${name}:`))).toEqual(
      [],
    );
  });

  it.each([
    ["cache/options.ts", "docs/caching.md"],
    ["rate-limit/limiter.ts", "docs/limits.md"],
    ["rate-limit/failed-auth-limiter.ts", "docs/limits.md"],
    ["jwt/options.ts", "docs/jwt.md"],
    ["oauth/options.ts", "docs/tokens.md"],
    ["management/options.ts", "docs/management.md"],
    ["observers/options.ts", "docs/observers.md"],
  ])("every option of src/%s, in %s or docs/options.md", (source, page) => {
    const options = optionsIn(source);
    expect(options.length).toBeGreaterThan(2);
    const text = `${textOf(page)}\n${proseOf("docs/options.md")}`;
    expect(options.filter((name) => !new RegExp(`\\b${name}\\b`).test(text))).toEqual([]);
  });

  /** Returns the names in the array OPTIONS of a source file, without those that are spread into it. */
  function optionsIn(source: string): readonly string[] {
    const text = sources.find(({ name }) => name === source)?.text ?? "";
    const array = /^(?:export )?const \w*OPTIONS\b[^=]*= \[(.*?)\]/ms.exec(text)?.[1] ?? "";
    return [...array.matchAll(/"(\w+)"/g)].map(([, name = ""]) => name);
  }
});

it("the README has fewer than 300 lines", () => {
  expect(textOf("README.md").split("\n").length).toBeLessThan(300);
  expect(statSync(join(root, "README.md")).size).toBeGreaterThan(5_000);
});
