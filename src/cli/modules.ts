import { existsSync } from "node:fs";
import { extname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { resolvePackage } from "./drivers.js";
import { usageError } from "./errors.js";
import { escapeText } from "./escape.js";

type Module = Readonly<Record<string, unknown>>;

const JAVASCRIPT = [".js", ".mjs", ".cjs"];
const TYPESCRIPT = [".ts", ".mts", ".cts"];

/** Whether a file is a module, by its extension. */
export function isModule(file: string): boolean {
  return [...JAVASCRIPT, ...TYPESCRIPT].includes(extname(file));
}

/** Whether a file is a TypeScript module, by its extension. */
export function isTypeScript(file: string): boolean {
  return TYPESCRIPT.includes(extname(file));
}

/**
 * Imports a module of the project.
 *
 * @throws CommandError if it does not exist or cannot be loaded.
 */
export async function loadModule(file: string): Promise<Module> {
  const path = resolve(file);
  if (!existsSync(path)) throw usageError(`${escapeText(file)} cannot be read (ENOENT)`);
  const load = isTypeScript(file) ? await typeScriptLoader(file) : importUrl;
  try {
    return await load(pathToFileURL(path).href);
  } catch (error) {
    throw usageError(`${escapeText(file)} cannot be loaded: ${escapeText(`${error}`)}`);
  }
}

type Loader = (url: string) => Promise<Module>;

const importUrl: Loader = (url) => import(url);

/**
 * Returns the TypeScript loader of the project. Node's own comes last: it only removes types, so it does not find
 * `auth.ts` for an import of `auth.js`.
 *
 * @throws CommandError with the command to install one.
 */
async function typeScriptLoader(file: string): Promise<Loader> {
  const tsx = resolvePackage("tsx");
  if (tsx !== undefined) {
    await import(tsx); // registers itself, as `node --import tsx` does
    return importUrl;
  }
  const jiti = resolvePackage("jiti");
  if (jiti !== undefined) {
    const { createJiti } = (await import(jiti)) as {
      createJiti(parent: string): { import(path: string): Promise<Module> };
    };
    return (url) => createJiti(import.meta.url).import(fileURLToPath(url));
  }
  const { features, versions } = process;
  if ("typescript" in features && features.typescript) return importUrl;
  if (versions.bun !== undefined || versions.deno !== undefined) return importUrl;
  throw usageError(
    `${escapeText(file)} is TypeScript, which Node ${versions.node} cannot load. Install a loader: npm install --save-dev tsx`,
  );
}
