import { execFile } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";

const root = new URL("../..", import.meta.url).pathname;
mkdirSync(join(root, "node_modules/.cache"), { recursive: true });
const folder = mkdtempSync(join(root, "node_modules/.cache/documentation-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The TypeScript blocks of a document. */
function blocksOf(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""]) => code);
}

/** Files that blocks import: the ones they name themselves with a first comment, and what a reader has. */
const given: Record<string, string> = {
  "database.ts": `
    type Row = { id: string; hash: string; account_id: string; scopes: string[]; name: string | null;
      environment: string | null; ip_allowlist: string[] | null; expires_at: Date | null; disabled_at: Date | null;
      revoked_at: Date | null; created_at: Date };
    export declare const pool: { query(text: string, values: unknown[]): Promise<{ rows: Row[] }> };`,
  "my-store.ts": `
    import type { ManagedKeyStore } from "keybearer";
    export declare function createMyStore(): ManagedKeyStore;`,
};

describe("documentation", () => {
  test("every block of TypeScript compiles against the built package", async () => {
    const files = ["README.md", ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`)];
    let count = 0;
    for (const [name, code] of Object.entries(given)) writeFileSync(join(folder, name), code);
    for (const file of files) {
      for (const code of blocksOf(file)) {
        const name = /^\/\/ ([a-z-]+\.ts)$/m.exec(code.split("\n", 1)[0] ?? "")?.[1];
        writeFileSync(join(folder, name ?? `block-${++count}.ts`), `${code}\nexport {};\n`);
      }
    }
    expect(count).toBeGreaterThan(10);
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          target: "ES2022",
          module: "NodeNext",
          strict: true,
          noEmit: true,
          skipLibCheck: true,
          types: ["node"],
        },
      }),
    );
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(root, join(folder, "node_modules/keybearer"));
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const compiling = promisify(execFile)(process.execPath, [tsc, "-p", folder]);
    const { stdout } = await compiling.catch((error) => error);
    expect(stdout).toBe("");
  });
});
