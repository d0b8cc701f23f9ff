import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import { command, type Run } from "../arguments.js";
import { readConfig } from "../config.js";
import { DEFAULT_FILE, findConfigFiles } from "../config-file.js";
import { usageError } from "../errors.js";
import { escapeText } from "../escape.js";

interface Options {
  readonly config: string;
  readonly prefix: string;
  readonly environments: string;
  readonly force?: boolean;
}

/** `keybearer init`: creates a configuration file. */
export function initCommand({ output }: Run): Command {
  return command("init", "create a configuration file with example scopes", [
    "keybearer init --prefix ezt",
    "keybearer init --prefix ezt --environments live,test --force",
  ])
    .option("--config <file>", "the file to create", DEFAULT_FILE)
    .option("--prefix <prefix>", "the prefix of every secret", "app")
    .option("--environments <names>", "the environments, which follow the prefix in secrets", "live,test")
    .option("--force", "overwrite an existing file")
    .action(({ config: file, prefix, environments, force }: Options) => {
      const names = environments.split(",").map((name) => name.trim());
      const content = {
        prefix,
        environments: names,
        environment: names[0],
        scopes: {
          "vehicles:read": { description: "List and view vehicles" },
          "vehicles:write": {
            description: "Create and update vehicles",
            implies: ["vehicles:read"],
            audit: true,
          },
          "fleet:admin": { description: "Everything", implies: ["*"] },
        },
      };
      if (!file.endsWith(".json")) throw usageError("--config must end in .json");
      readConfig(escapeText(file), content, {});
      const other = findConfigFiles().find((found) => found !== DEFAULT_FILE);
      if (file === DEFAULT_FILE && other !== undefined) {
        throw usageError(`${other} already exists. Choose another file with --config`);
      }
      try {
        writeFileSync(file, `${JSON.stringify(content, undefined, 2)}\n`, { flag: force ? "w" : "wx" });
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "EEXIST") {
          throw usageError(`${escapeText(file)} already exists. Overwrite it with --force`);
        }
        throw usageError(`${escapeText(file)} cannot be written (${code})`);
      }
      output.log(
        [
          `Created ${escapeText(file)}. Replace the example scopes with yours, then run:`,
          "  export KEYBEARER_URL=sqlite:keys.db",
          "  npx keybearer migrate",
          "  npx keybearer create --owner acme --scope vehicles:read",
        ].join("\n"),
      );
    });
}
