import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

/** The script and the stylesheet of the page. */
export interface Client {
  readonly script: string;
  readonly style: string;
}

/** Compiles the client. The build calls it once and puts the result in the place of `assets.ts`. */
export function compileClient(): Client {
  const { outputFiles } = buildSync({
    entryPoints: {
      page: fileURLToPath(new URL("client/main.tsx", import.meta.url)),
      style: fileURLToPath(new URL("client/style.css", import.meta.url)),
    },
    bundle: true,
    minify: true,
    write: false,
    outdir: "out",
    format: "esm",
    platform: "browser",
    target: ["es2022", "safari16"],
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    tsconfigRaw: {},
  });
  const textOf = (extension: string) => outputFiles.find(({ path }) => path.endsWith(extension))?.text ?? "";
  return { script: textOf(".js"), style: textOf(".css") };
}
