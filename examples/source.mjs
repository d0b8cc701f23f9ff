// Runs TypeScript, with the sources of the package instead of its build: node --import ./examples/source.mjs FILE
import { fileURLToPath } from "node:url";

process.env.TSX_TSCONFIG_PATH = fileURLToPath(new URL("tsconfig.source.json", import.meta.url));
await import("tsx");
