import { type Command, Option } from "commander";
import { SCANNERS, type Scanner, scannerRules } from "../../leaks/rules.js";
import { command, type Run } from "../arguments.js";
import { loadConfig } from "../config-file.js";
import { usageError } from "../errors.js";

interface Options {
  readonly for: Scanner;
  readonly config?: string;
  readonly verifyUrl?: string;
}

/** `keybearer scan-rules`: prints rules for secret scanners. */
export function scanRulesCommand({ output }: Run): Command {
  return command("scan-rules", "print rules with which a secret scanner finds secrets of your keys", [
    "keybearer scan-rules --for gitleaks > .gitleaks.toml",
    "keybearer scan-rules --for trufflehog --verify-url https://api.example.com/leaks",
  ])
    .addOption(new Option("--for <scanner>", "the scanner").choices(SCANNERS).makeOptionMandatory())
    .option("--verify-url <url>", "trufflehog: the URL of your leak receiver")
    .option("--config <file>", "the configuration file (default: keybearer.config.json, .ts, .js or .mjs)")
    .action(async ({ for: scanner, config, verifyUrl }: Options) => {
      if (verifyUrl !== undefined && !/^https?:\/\/[\x21-\x7e]+$/.test(verifyUrl)) {
        throw usageError("--verify-url must be a URL");
      }
      const { formats } = await loadConfig(config);
      const patterns = formats.flatMap(({ pattern }) => pattern ?? []);
      if (patterns.length === 0) throw usageError('The formats have no "pattern"');
      try {
        await output.write(scannerRules(scanner, patterns, verifyUrl));
      } catch (error) {
        throw error instanceof TypeError ? usageError(error.message) : error;
      }
    });
}
