import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { COMMON_VERIFIER_OPTIONS } from "../../src/core/verifier/base.js";
import { anchorsOf, linksOf, markdownFiles, proseOf, root, textOf } from "./markdown.js";

const files = markdownFiles();
const everything = files.map(textOf).join("\n");
const sources = (readdirSync(join(root, "src"), { recursive: true }) as string[])
  .filter((name) => name.endsWith(".ts"))
  .map((name) => ({ name, text: readFileSync(join(root, "src", name), "utf8") }));
/** Without the program, whose errors are its own. */
const library = sources.filter(({ name }) => !name.startsWith("cli/"));

describe("links", () => {
  test.each(files)("of %s lead somewhere", (file) => {
    for (const link of linksOf(file)) {
      if (/^https?:/.test(link)) continue;
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? file : normalize(join(dirname(file), path));
      expect(existsSync(join(root, target)), `${file}: ${link}`).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(target), `${file}: ${link}`).toContain(anchor);
    }
  });

  test("in what is published lead to what is published, or to the repository's own folders", () => {
    const published = [...manifest.files, "README.md", "bench", "examples"];
    for (const file of files.filter((name) => name === "README.md" || name.startsWith("docs/"))) {
      for (const link of linksOf(file)) {
        if (/^https?:|^#/.test(link)) continue;
        const target = normalize(join(dirname(file), link.split("#")[0] ?? ""));
        expect(published, `${file}: ${link}`).toContain(target.split("/")[0]?.replace(/^\.$/, "README.md"));
      }
    }
  });

  test("reach every page from the index", () => {
    const reached = new Set(
      linksOf("docs/README.md").map((link) => normalize(join("docs", link.split("#")[0] ?? ""))),
    );
    const pages = files.filter((name) => name.startsWith("docs/") && name !== "docs/README.md");
    expect(pages.filter((page) => !reached.has(page))).toEqual([]);
    expect(linksOf("README.md")).toContain("docs/README.md");
  });
});

describe("what is named exists", () => {
  test("scripts of npm", () => {
    const named = [...everything.matchAll(/npm run (?:--silent )?([a-z][\w:-]*)/g)].map(
      ([, name = ""]) => name,
    );
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => !(name in manifest.scripts))).toEqual([]);
  });

  test("files of commands", () => {
    const named = [...everything.matchAll(/^(?:node|npx tsx) (?:--\S+ (?:tsx )?)*([\w./-]+\.ts)/gm)];
    for (const [line, name = ""] of named) expect(existsSync(join(root, name)), line).toBe(true);
  });

  test("codes of errors and warnings", () => {
    const known = sources.flatMap(({ text }) => text.match(/KEYBEARER_[A-Z_]+/g) ?? []);
    const named = everything.match(/KEYBEARER_[A-Z_]+/g) ?? [];
    expect(named.filter((code) => !known.includes(code))).toEqual([]);
  });
});

describe("what exists is named", () => {
  test("every subpath, in a page about using it", () => {
    const pages = files
      .filter((name) => name.startsWith("docs/"))
      .map(textOf)
      .join("\n");
    const subpaths = Object.keys(manifest.exports).filter((path) => path !== "./package.json");
    expect(subpaths.filter((path) => !pages.includes(`"${path.replace(/^\./, "keybearer")}"`))).toEqual([]);
  });

  test("every code of an error or a warning, in docs/errors.md", () => {
    const codes = library.flatMap(({ text }) =>
      [...text.matchAll(/(?:\bcode: |\bwarn\(\s*)"(KEYBEARER_[A-Z_]+)"/g)].map(([, code = ""]) => code),
    );
    expect(codes).toContain("KEYBEARER_UNAVAILABLE");
    expect(codes).toContain("KEYBEARER_STORE_ERROR");
    const page = textOf("docs/errors.md");
    expect(codes.filter((code) => !page.includes(`\`${code}\``))).toEqual([]);
  });

  test("every class of an error that is exported, in docs/errors.md", () => {
    const classes = library.flatMap(({ text }) =>
      [...text.matchAll(/^export class (\w+) extends \w*Error\b/gm)].map(([, name = ""]) => name),
    );
    expect(classes).toContain("StoreError");
    const page = textOf("docs/errors.md");
    expect(classes.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });

  test("every option of a verifier, a guard and a manager, in docs/options.md", () => {
    const options = [
      ...COMMON_VERIFIER_OPTIONS,
      ...listIn("core/verifier-options.ts"),
      ...listIn("core/manager-options.ts"),
      ...["onError", "errorBody", "remoteAddress", "optional"],
      ...["prefix", "environments", "alphabet", "length", "checksum"],
    ];
    expect(options.length).toBeGreaterThan(25);
    const page = textOf("docs/options.md");
    expect(options.filter((name) => !page.includes(`\`${name}\``) && !page.includes(`\`${name}:`))).toEqual(
      [],
    );
  });

  test.each([
    ["stores/cached/options.ts", "docs/caching.md"],
    ["rate-limit/limiter.ts", "docs/limits.md"],
    ["rate-limit/guessing.ts", "docs/limits.md"],
    ["jwt/options.ts", "docs/jwt.md"],
    ["jwt/token-service-options.ts", "docs/tokens.md"],
    ["management/options.ts", "docs/management.md"],
  ])("every option of src/%s, in %s or with those of verifiers", (source, page) => {
    const options = listIn(source);
    expect(options.length).toBeGreaterThan(2);
    const text = `${textOf(page)}\n${proseOf("docs/options.md")}`;
    expect(options.filter((name) => !new RegExp(`\\b${name}\\b`).test(text))).toEqual([]);
  });

  /** The names in the list `OPTIONS` of a source, without what is spread into it. */
  function listIn(source: string): readonly string[] {
    const text = sources.find(({ name }) => name === source)?.text ?? "";
    const list = /^const OPTIONS\b[^=]*= \[(.*?)\];?$/ms.exec(text)?.[1] ?? "";
    return [...list.matchAll(/"(\w+)"/g)].map(([, name = ""]) => name);
  }
});

test("the README fits on a few screens, and is no longer than that", () => {
  expect(textOf("README.md").split("\n").length).toBeLessThan(300);
  expect(statSync(join(root, "README.md")).size).toBeGreaterThan(5_000);
});
