import { createRequire, isBuiltin } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { usageError } from "./errors.js";

type DriverModule = Readonly<Record<string, unknown>>;

/** An imported driver. */
export interface Driver {
  readonly name: string;
  /** Returns an export, of an ESM or a CommonJS module. */
  member(name: string): unknown;
}

// First the project in the current directory, which has the driver of the service.
const resolvers = [createRequire(join(process.cwd(), "keybearer.js")), createRequire(import.meta.url)];

/**
 * Imports the first of several drivers that is installed.
 *
 * @throws CommandError with the command to install one.
 */
export async function loadDriver(database: string, ...names: readonly string[]): Promise<Driver> {
  const broken: string[] = [];
  for (const name of names) {
    const url = resolveDriver(name);
    if (url === undefined) continue;
    try {
      const module = (await import(url)) as DriverModule;
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
  const installable = packages.map((name) => name.split("/")[0]);
  const missing = `${database} needs a driver: npm install ${installable.join(" or npm install ")}`;
  throw usageError([...broken, missing].join("; "));
}

function resolveDriver(name: string): string | undefined {
  if (name.startsWith("node:")) return isBuiltin(name) ? name : undefined;
  return resolvePackage(name);
}

/** Returns the URL of an installed package, of the project in the current directory or of this package. */
export function resolvePackage(name: string): string | undefined {
  for (const resolver of resolvers) {
    try {
      return pathToFileURL(resolver.resolve(name)).href;
    } catch {
      // not installed there
    }
  }
  return undefined;
}
