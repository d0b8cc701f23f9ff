import { writeFileSync } from "node:fs";
import { dirname, relative, resolve, sep } from "node:path";
import type { Command } from "commander";
import type { Scopes } from "../../kit.js";
import { command, type Run } from "../arguments.js";
import { readConfig } from "../config.js";
import { DEFAULT_FILE, findConfigFiles } from "../config-file.js";
import { usageError } from "../errors.js";
import { escapeText } from "../escape.js";
import { isModule, isTypeScript, loadModule } from "../modules.js";
import { ask, isInteractive } from "../prompts.js";

interface Options {
  readonly config?: string;
  readonly from?: string;
  readonly prefix?: string;
  readonly scope?: readonly string[];
  readonly environments: string;
  readonly force?: boolean;
}

/** A new configuration file. */
interface NewFile {
  readonly name: string;
  readonly text: string;
  /** A scope for the example. */
  readonly scope: string | undefined;
}

/** `keybearer init`: creates a configuration file. */
export function initCommand({ output, signal }: Run): Command {
  return command("init", "create a configuration file with the scopes and the format of your service", [
    "keybearer init --from ./auth.ts",
    "keybearer init --prefix ezt --scope vehicles:read vehicles:write",
  ])
    .option("--from <module>", 'a module of your service that exports "scopes" and "format"')
    .option("--config <file>", `the file to create (default: ${DEFAULT_FILE}; with --from .ts or .mjs)`)
    .option("--prefix <prefix>", "the prefix of every secret")
    .option("--environments <names>", "the environments, which follow the prefix in secrets", "live,test")
    .option("--scope <scope...>", "the scopes of your service")
    .option("--force", "overwrite an existing file")
    .action(async (options: Options) => {
      const file =
        options.from === undefined
          ? await listedConfig(options, signal)
          : await importingConfig(options.from, options);
      const name = escapeText(file.name);
      const other = findConfigFiles().find((found) => found !== file.name);
      if (options.config === undefined && other !== undefined) {
        throw usageError(`${other} already exists. Choose another file with --config`);
      }
      try {
        writeFileSync(file.name, file.text, { flag: options.force ? "w" : "wx" });
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "EEXIST") throw usageError(`${name} already exists. Overwrite it with --force`);
        throw usageError(`${name} cannot be written (${code})`);
      }
      const scope = file.scope === undefined ? "" : ` --scope ${escapeText(file.scope)}`;
      output.log(
        [
          `Created ${name}. Next:`,
          "  export KEYBEARER_URL=sqlite:keys.db",
          "  npx keybearer migrate",
          `  npx keybearer create --owner acme${scope}`,
        ].join("\n"),
      );
    });
}

/** Returns a configuration that imports the scopes and the format of the service. */
async function importingConfig(from: string, options: Options): Promise<NewFile> {
  if (options.prefix !== undefined || options.scope !== undefined) {
    throw usageError("--from already has the scopes and the prefix; remove --scope and --prefix");
  }
  if (!isModule(from)) throw usageError("--from must be a JavaScript or TypeScript module");
  const { scopes, format } = await loadModule(from);
  if (scopes === undefined || format === undefined) {
    throw usageError(`${escapeText(from)} must export "scopes" and "format"`);
  }
  const config = readConfig(escapeText(from), { scopes, format }, {});
  const name = options.config ?? `keybearer.config.${isTypeScript(from) ? "ts" : "mjs"}`;
  if (!isModule(name)) throw usageError("--config must end in .ts, .js or .mjs");
  const path = relative(dirname(resolve(name)), resolve(from)).replaceAll(sep, "/");
  const specifier = JSON.stringify(path.startsWith("../") ? path : `./${path}`);
  const [environment] = config.format.environments ?? [];
  const members = [
    "scopes",
    "format",
    ...(environment ? [`environment: ${JSON.stringify(environment)}`] : []),
  ];
  return {
    name,
    text: `import { format, scopes } from ${specifier};\n\nexport default { ${members.join(", ")} };\n`,
    scope: firstGrantable(config.scopes),
  };
}

/** Returns a configuration that lists the scopes. */
async function listedConfig(options: Options, signal: AbortSignal): Promise<NewFile> {
  const name = options.config ?? DEFAULT_FILE;
  if (!name.endsWith(".json")) throw usageError("--config must end in .json without --from");
  const environments = split(options.environments, ",");
  const prefix =
    options.prefix ?? (await askFor("--prefix", "Prefix of every secret, such as ezt: ", signal));
  const scopes =
    options.scope ??
    split(await askFor("--scope", "Scopes of your service, separated by spaces: ", signal), " ");
  const content = {
    prefix: prefix.trim(),
    environments,
    environment: environments[0],
    scopes: Object.fromEntries(scopes.map((scope) => [scope, {}])),
  };
  const config = readConfig(escapeText(name), content, {});
  return {
    name,
    text: `${JSON.stringify(content, undefined, 2)}\n`,
    scope: firstGrantable(config.scopes),
  };
}

/** Asks for the value of an option on a terminal. */
async function askFor(option: string, question: string, signal: AbortSignal): Promise<string> {
  if (isInteractive()) return ask(question, signal);
  throw usageError(
    `${option} is missing. Pass --from with a module of your service that exports "scopes" and "format", or --prefix and --scope`,
  );
}

function firstGrantable(scopes: Scopes): string | undefined {
  return scopes.names.find((name) => scopes.isGrantable(name));
}

function split(text: string, separator: string): readonly string[] {
  return text
    .split(separator)
    .map((part) => part.trim())
    .filter((part) => part !== "");
}
