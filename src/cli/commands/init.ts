import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import { command, type Run } from "../arguments.js";
import { readConfig } from "../config.js";
import { configsHere, DEFAULT_FILE } from "../config-file.js";
import { usageError } from "../failure.js";
import { printable } from "../printable.js";

interface Options {
  readonly config: string;
  readonly prefix: string;
  readonly environments: string;
  readonly force?: boolean;
}

/** `keybearer init`: writes a configuration to begin with. */
export function initCommand({ output }: Run): Command {
  return command("init", "write a configuration to begin with", [
    "keybearer init --prefix ezt",
    "keybearer init --prefix ezt --environments live,test --force",
  ])
    .option("--config <file>", "where to write it", DEFAULT_FILE)
    .option("--prefix <prefix>", "what every secret begins with", "app")
    .option("--environments <names>", "named in secrets behind the prefix", "live,test")
    .option("--force", "write over a file that is there")
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
      if (!file.endsWith(".json")) throw usageError("init writes JSON: name a file that ends in .json");
      readConfig(printable(file), content, {});
      const other = configsHere().find((found) => found !== DEFAULT_FILE);
      if (file === DEFAULT_FILE && other !== undefined)
        throw usageError(
          `${other} is there already, and of two none would be taken: name a file with --config`,
        );
      try {
        writeFileSync(file, `${JSON.stringify(content, undefined, 2)}\n`, { flag: force ? "w" : "wx" });
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "EEXIST")
          throw usageError(`${printable(file)} is there already; --force writes over it`);
        throw usageError(`${printable(file)} cannot be written (${code})`);
      }
      output.say(
        [
          `Wrote ${printable(file)}. The scopes in it are examples: put yours there. Then:`,
          "  export KEYBEARER_URL=sqlite:keys.db   # or DATABASE_URL; postgres://, mysql://, redis://",
          "  npx keybearer migrate",
          "  npx keybearer create --owner acme --scope vehicles:read",
        ].join("\n"),
      );
    });
}
