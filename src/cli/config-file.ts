import { existsSync, readFileSync } from "node:fs";
import { type Config, readConfig } from "./config.js";
import { usageError } from "./errors.js";
import { escapeText } from "./escape.js";
import { isModule, loadModule } from "./modules.js";

export const DEFAULT_FILE = "keybearer.config.json";
const NAMES = [DEFAULT_FILE, "keybearer.config.ts", "keybearer.config.js", "keybearer.config.mjs"];

/**
 * Reads a configuration file: the given one, or the one in the current directory.
 *
 * @throws CommandError if there is no such file, or several, or the configuration is invalid.
 */
export async function loadConfig(path: string | undefined): Promise<Config> {
  const file = path ?? findDefaultFile();
  return readConfig(escapeText(file), (await readContent(file)).content, process.env);
}

/** Returns the configuration files of the current directory that are found without `--config`. */
export function findConfigFiles(): readonly string[] {
  return NAMES.filter((name) => existsSync(name));
}

function findDefaultFile(): string {
  const files = findConfigFiles();
  if (files.length > 1) {
    throw usageError(`Both ${files.join(" and ")} exist. Choose one with --config`);
  }
  if (files[0] !== undefined) return files[0];
  throw usageError(
    `${DEFAULT_FILE} does not exist. Create it with: npx keybearer init, or choose another file with --config`,
  );
}

/** Reads a file. `text` is absent for a module. */
export async function readContent(
  file: string,
): Promise<{ readonly content: unknown; readonly text?: string }> {
  if (isModule(file)) {
    const module = await loadModule(file);
    return { content: module.default ?? { ...module } };
  }
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw usageError(`${escapeText(file)} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  try {
    return { content: JSON.parse(text.replace(/^\ufeff/, "")), text };
  } catch (error) {
    // Only the position, because the parser's message quotes the file.
    const position = /at position (\d+)/.exec((error as Error).message)?.[1];
    const lines = text.slice(0, Number(position)).split("\n");
    const place = position && ` (line ${lines.length}, column ${(lines.at(-1) as string).length + 1})`;
    throw usageError(`${escapeText(file)} is not JSON${place ?? ""}`);
  }
}
