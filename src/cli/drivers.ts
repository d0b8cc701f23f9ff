import { createRequire, isBuiltin } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { usageError } from "./failure.js";

/** What an imported driver has. */
export type DriverModule = Readonly<Record<string, unknown>>;

/** A driver that was found. */
export interface Driver {
  readonly name: string;
  /** What it exports under this name, whether its module is ESM or CommonJS. */
  member(name: string): unknown;
}

// The project that the command runs in comes first: what it has is what its service uses.
const places = [createRequire(join(process.cwd(), "keybearer.js")), createRequire(import.meta.url)];

/**
 * Imports the first of these drivers that is installed.
 *
 * @throws CommandError that says what to install.
 */
export async function loadDriver(target: string, ...names: readonly string[]): Promise<Driver> {
  const broken: string[] = [];
  for (const name of names) {
    const found = find(name);
    if (found === undefined) continue;
    try {
      const module = (await import(found)) as DriverModule;
      const inner = module.default as DriverModule | undefined;
      return {
        name,
        member: (member) => module[member] ?? (member === "default" ? undefined : inner?.[member]),
      };
    } catch (error) {
      broken.push(`${name} is installed, but cannot be loaded (${(error as Error)?.name})`);
    }
  }
  const packages = names.filter((name) => !isBuiltin(name) && !name.startsWith("node:"));
  const commands = packages.map((name) => `npm install ${name.split("/")[0]}`);
  throw usageError([...broken, `${target} needs a driver: ${commands.join(", or ")}`].join("; "));
}

function find(name: string): string | undefined {
  if (name.startsWith("node:")) return isBuiltin(name) ? name : undefined;
  for (const place of places) {
    try {
      return pathToFileURL(place.resolve(name)).href;
    } catch {
      // Not there; the next place may have it.
    }
  }
  return undefined;
}
