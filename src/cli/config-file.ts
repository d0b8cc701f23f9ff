import { existsSync, readFileSync } from "node:fs";
import { extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Config, readConfig } from "./config.js";
import { usageError } from "./failure.js";
import { printable } from "./printable.js";

export const DEFAULT_FILE = "keybearer.config.json";
const NAMES = [DEFAULT_FILE, "keybearer.config.js", "keybearer.config.mjs"];

/**
 * Reads the configuration: the file that was named, or the one in this directory.
 *
 * @throws CommandError when there is none, or several, or what it says cannot work.
 */
export async function loadConfig(named: string | undefined): Promise<Config> {
  const file = named ?? theOneHere();
  return readConfig(printable(file), await contentOf(file), process.env);
}

/** The configurations in this directory that need no name. */
export function configsHere(): readonly string[] {
  return NAMES.filter((name) => existsSync(name));
}

function theOneHere(): string {
  const found = configsHere();
  if (found.length > 1) throw usageError(`There are ${found.join(" and ")}: name one with --config`);
  if (found[0] !== undefined) return found[0];
  throw usageError(
    `There is no ${DEFAULT_FILE} in this directory: run npx keybearer init, or name a file with --config`,
  );
}

async function contentOf(file: string): Promise<unknown> {
  if ([".js", ".mjs", ".cjs"].includes(extname(file))) return contentOfModule(file);
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw usageError(`${printable(file)} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  try {
    return JSON.parse(text.replace(/^\ufeff/, ""));
  } catch (error) {
    // Only the place: the message quotes the text.
    const position = /at position (\d+)/.exec((error as Error).message)?.[1];
    const lines = text.slice(0, Number(position)).split("\n");
    const place = position && ` (line ${lines.length}, column ${(lines.at(-1) as string).length + 1})`;
    throw usageError(`${printable(file)} is not JSON${place ?? ""}`);
  }
}

async function contentOfModule(file: string): Promise<unknown> {
  const path = resolve(file);
  if (!existsSync(path)) throw usageError(`${printable(file)} cannot be read (ENOENT)`);
  try {
    const module = (await import(pathToFileURL(path).href)) as { default?: unknown };
    return module.default ?? { ...module };
  } catch (error) {
    throw usageError(`${printable(file)} cannot be loaded: ${printable(`${error}`)}`);
  }
}
