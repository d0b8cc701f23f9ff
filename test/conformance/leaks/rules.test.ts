import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { RE2JS } from "re2js";
import { afterAll, describe, expect, it } from "vitest";
import { keyFormat } from "../../../src/index.js";
import { createFinder } from "../../../src/leaks/finder.js";
import { SCANNERS, scannerRules } from "../../../src/leaks/rules.js";

const formats = [
  keyFormat({ prefix: "ezt", environments: ["live", "test"] }),
  keyFormat({ prefix: "acme_x", environments: ["prod"], alphabet: "hex", length: 40 }),
  keyFormat({ prefix: "p", alphabet: "ABCDEFGHJKLMNPQRSTUVWXYZ._~+/-", length: 48 }),
  keyFormat({ alphabet: "hex", length: 32, checksum: false }),
];
const patterns = formats.map(({ pattern }) => pattern);
const prefixed = patterns.slice(0, 3);

/** 100,000 secrets. */
const secrets = formats.flatMap((format) =>
  Array.from({ length: 25_000 }, (_, index) =>
    format.generate(format.environments?.[index % format.environments.length]),
  ),
);

/** The regular expressions of the rules of a scanner, as they are in its file. */
function regexesOf(scanner: (typeof SCANNERS)[number], from = patterns): readonly string[] {
  const text = scannerRules(scanner, from, undefined);
  if (scanner === "secretlint") {
    const { rules } = JSON.parse(text) as { rules: { options: { patterns: { pattern: string }[] } }[] };
    return (rules[0]?.options.patterns ?? []).map(({ pattern }) => pattern.slice(1, -1));
  }
  const quoted = {
    github: /^Secret format: (.*)$/gm,
    gitleaks: /^regex = '''(.*)'''$/gm,
    trufflehog: /^ {6}token: '(.*)'$/gm,
    "detect-secrets": /^ {8}re\.compile\(r"(.*)"\),$/gm,
  };
  return [...text.matchAll(quoted[scanner])].map(([, regex = ""]) => regex);
}

describe("the rules", () => {
  it.each(SCANNERS)("of %s find 100,000 secrets", (scanner) => {
    const from = scanner === "trufflehog" ? prefixed : patterns;
    const expected = scanner === "trufflehog" ? 75_000 : 100_000;
    // gitleaks and TruffleHog are written in Go, whose regular expressions are RE2.
    const isRe2 = scanner === "gitleaks" || scanner === "trufflehog";
    const tests = regexesOf(scanner, from).map((regex) => {
      const compiled = isRe2 ? RE2JS.compile(regex) : new RegExp(regex);
      return (text: string) =>
        compiled instanceof RegExp ? compiled.test(text) : compiled.matcher(text).find();
    });
    expect(tests).toHaveLength(from.length);
    const found = secrets.filter((secret) => tests.some((test) => test(`key="${secret}"`)));
    expect(found).toHaveLength(expected);
  });

  it("of detect-secrets are a plugin that finds them in Python", () => {
    const folder = mkdtempSync(join(tmpdir(), "keybearer-rules-"));
    afterAll(() => rmSync(folder, { recursive: true }));
    // The base class of the package, which finds the matches of `denylist`.
    const base = join(folder, "detect_secrets", "plugins");
    mkdirSync(base, { recursive: true });
    writeFileSync(join(base, "base.py"), "class RegexBasedDetector:\n    pass\n");
    for (const path of [base, join(base, "..")]) writeFileSync(join(path, "__init__.py"), "");
    writeFileSync(join(folder, "plugin.py"), scannerRules("detect-secrets", patterns, undefined));
    writeFileSync(join(folder, "secrets.txt"), secrets.join("\n"));
    const script = `
from plugin import KeybearerDetector as D
lines = open("secrets.txt").read().split("\\n")
print(sum(any(r.search(line) for r in D.denylist) for line in lines), D.secret_type)`;
    expect(execFileSync("python3", ["-c", script], { cwd: folder, encoding: "utf8" }).trim()).toBe(
      "100000 ezt API key",
    );
  });

  it("of GitHub have no anchors, groups that capture or lookarounds", () => {
    for (const regex of regexesOf("github")) expect(regex).not.toMatch(/\((?!\?:)|\^|\$|\\b/);
  });

  it("of TruffleHog name the URL of the receiver, and need a prefix", () => {
    expect(scannerRules("trufflehog", prefixed, "https://api.example.com/leaks")).toContain(
      "      - endpoint: https://api.example.com/leaks\n",
    );
    expect(() => scannerRules("trufflehog", patterns, undefined)).toThrow("needs a prefix");
  });
});

it("the finder finds 100,000 secrets, and none in the packages that this project installs", () => {
  expect(createFinder(formats)(secrets.join("\n"), true)).toHaveLength(100_000);

  const folder = fileURLToPath(new URL("../../../node_modules", import.meta.url));
  const [withChecksum] = [formats.slice(0, 3)];
  const regexes = regexesOf("gitleaks", prefixed).map((regex) => new RegExp(regex));
  let files = 0;
  let bytes = 0;
  const found: unknown[] = [];
  for (const path of filesBelow(folder)) {
    if (bytes > 200 * 1_024 ** 2) break;
    const text = readFileSync(path, "latin1");
    files += 1;
    bytes += text.length;
    found.push(...createFinder(withChecksum)(text, true));
    found.push(...regexes.filter((regex) => regex.test(text)));
  }
  expect(files).toBeGreaterThan(1_000);
  expect(found).toEqual([]);
});

/** The text files of a directory. Follows no symbolic links, and skips caches. */
function* filesBelow(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== ".cache") yield* filesBelow(path);
    else if (entry.isFile() && /\.(?:[cm]?js|[cm]?ts|json|md|map|txt|ya?ml)$/.test(entry.name)) yield path;
  }
}
