import { execFile, execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Block, blocksOf, markdownFiles, root } from "./markdown.js";

/** Files that blocks import, and that readers replace by their own. */
const READER_FILES: Readonly<Record<string, string>> = {
  "database.ts": `
    type Row = { id: string; hash: string; account_id: string; scopes: string[]; name: string | null;
      environment: string | null; ip_allowlist: string[] | null; expires_at: Date | null; disabled_at: Date | null;
      revoked_at: Date | null; created_at: Date };
    export declare const pool: { query(text: string, values: unknown[]): Promise<{ rows: Row[] }> };`,
  "my-store.ts": `
    import type { ManagedKeyStore } from "keybearer";
    export declare function createMyStore(): ManagedKeyStore;`,
};

const COMPILER = {
  target: "ES2022",
  module: "NodeNext",
  strict: true,
  exactOptionalPropertyTypes: true, // readers may use these options too
  noUncheckedIndexedAccess: true,
  verbatimModuleSyntax: true,
  experimentalDecorators: true, // for NestJS
  skipLibCheck: true,
  paths: { "@/auth": ["./blocks/docs+nextjs.md/auth.ts"] }, // as in a project with Next.js
  allowJs: true, // js blocks are not type-checked, because their packages may not be installed
  outDir: "out",
  rootDir: "blocks",
  types: ["node"],
};

/** The code blocks of every document as files, each together with the named blocks of the README. */
export interface CompiledBlocks {
  /** Compiles all blocks. Returns the errors of the compiler. */
  compile(): Promise<string>;
  /** Copies the compiled blocks of the document of `block` to a new folder. Returns the folder and the file of the block. */
  place(block: Block): { readonly folder: string; readonly entry: string };
  remove(): void;
}

export function createCompiledBlocks(): CompiledBlocks {
  const cache = join(root, "node_modules/.cache");
  mkdirSync(cache, { recursive: true });
  const top = mkdtempSync(join(cache, "documentation-"));
  mkdirSync(join(top, "node_modules"));
  symlinkSync(root, join(top, "node_modules/keybearer"));
  writeFileSync(join(top, "package.json"), "{}");
  for (const line of blocksOf("README.md").flatMap(({ code }) => code.match(/^npm pkg set .*$/gm) ?? []))
    execFileSync("npm", line.split(" ").slice(1), { cwd: top });
  writeFileSync(
    join(top, "tsconfig.json"),
    JSON.stringify({ compilerOptions: COMPILER, include: ["blocks"] }),
  );
  const shared = blocksOf("README.md").filter(({ name }) => name !== undefined);
  for (const file of markdownFiles()) {
    const folder = join(top, "blocks", folderOf(file));
    const own = blocksOf(file).filter(isCode);
    if (own.length === 0) continue;
    mkdirSync(folder, { recursive: true });
    for (const [name, code] of Object.entries(READER_FILES)) writeFileSync(join(folder, name), code);
    for (const block of [...shared, ...own])
      writeFileSync(join(folder, nameOf(block)), `${block.code}\nexport {};\n`);
  }
  let places = 0;
  return {
    async compile() {
      const tsc = join(root, "node_modules/typescript/bin/tsc");
      const compiling = promisify(execFile)(process.execPath, [tsc, "-p", top]);
      return (await compiling.catch((error) => error)).stdout;
    },
    place(block) {
      const folder = join(top, `place-${++places}`);
      cpSync(join(top, "out", folderOf(block.file)), folder, { recursive: true });
      return { folder, entry: nameOf(block).replace(/ts$/, "js") };
    },
    remove: () => rmSync(top, { recursive: true, force: true }),
  };
}

export function isCode({ language }: Block): boolean {
  return language === "ts" || language === "js";
}

/** The file name of a block. */
export function nameOf({ name, line, language }: Block): string {
  return name ?? `line-${line}.${language}`;
}

function folderOf(file: string): string {
  return file.replaceAll("/", "+");
}
