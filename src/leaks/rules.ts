/** The scanners that {@link scannerRules} writes rules for. */
export const SCANNERS = ["github", "gitleaks", "trufflehog", "secretlint", "detect-secrets"] as const;
export type Scanner = (typeof SCANNERS)[number];

/** What a rule needs to know of a format. */
interface Rule {
  /** A name for people, such as "ezt API key". */
  readonly name: string;
  /** The same as an identifier, such as "ezt-api-key". */
  readonly id: string;
  readonly pattern: string;
  /** The pattern as a capturing group, and with word boundaries if a secret could be a part of any longer word. */
  readonly regex: string;
  /** What every secret begins with; `undefined` without a prefix. */
  readonly keyword: string | undefined;
}

/**
 * Writes the rules of a scanner for formats, as a file that it reads.
 *
 * @throws TypeError if TruffleHog, which needs a keyword, has none because a format has no prefix.
 */
export function scannerRules(
  scanner: Scanner,
  patterns: readonly string[],
  verifyUrl: string | undefined,
): string {
  const rules = patterns.map(ruleOf);
  return WRITERS[scanner](rules, verifyUrl);
}

function ruleOf(pattern: string, index: number): Rule {
  // Up to the first class or group.
  const keyword = /^[0-9A-Za-z_]+_/.exec(pattern)?.[0];
  const prefix = keyword?.slice(0, -1) ?? `service${index === 0 ? "" : index + 1}`;
  return {
    name: `${prefix} API key`,
    id: `${prefix.replaceAll("_", "-").toLowerCase()}-api-key`,
    pattern,
    regex: keyword === undefined ? `\\b(${pattern})\\b` : `(${pattern})`,
    keyword,
  };
}

type Write = (rules: readonly Rule[], verifyUrl: string | undefined) => string;

const WRITERS: Readonly<Record<Scanner, Write>> = {
  /** The fields of a custom pattern, and of the mail to the partner program. */
  github: (rules) =>
    rules.map(({ name, pattern }) => `Name: ${name}\nSecret format: ${pattern}\n`).join("\n"),

  gitleaks: (rules) =>
    rules
      .map(
        ({ name, id, regex, keyword }) => `[[rules]]
id = "${id}"
description = "${name}"
regex = '''${regex}'''
secretGroup = 1
${keyword === undefined ? "" : `keywords = ["${keyword.toLowerCase()}"]\n`}`,
      )
      .join("\n"),

  trufflehog: (rules, verifyUrl) =>
    `detectors:\n${rules
      .map(({ name, regex, keyword }) => {
        if (keyword === undefined)
          throw new TypeError("TruffleHog needs a keyword, so the format needs a prefix");
        const verify =
          verifyUrl === undefined
            ? ""
            : `    verify:\n      - endpoint: ${verifyUrl}\n        headers: ["Authorization: Bearer CREDENTIAL"]\n`;
        return `  - name: ${name}\n    keywords: ["${keyword}"]\n    regex:\n      token: '${regex}'\n${verify}`;
      })
      .join("")}`,

  secretlint: (rules) =>
    `${JSON.stringify(
      {
        rules: [
          {
            id: "@secretlint/secretlint-rule-pattern",
            options: {
              patterns: rules.map(({ name, regex }) => ({
                name,
                pattern: `/${regex.replaceAll("/", "\\/")}/`,
              })),
            },
          },
        ],
      },
      undefined,
      2,
    )}\n`,

  "detect-secrets": (rules) => `import re

from detect_secrets.plugins.base import RegexBasedDetector


class KeybearerDetector(RegexBasedDetector):
    secret_type = "${rules[0]?.name ?? "API key"}"

    denylist = [
${rules.map(({ regex }) => `        re.compile(r"${regex}"),\n`).join("")}    ]
`,
};
