#!/usr/bin/env node
import { createRequire } from "node:module";
import { main } from "./main.js";

// The package root is two directories up from both src/cli/ and dist/cli/.
const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };

await main(version);
