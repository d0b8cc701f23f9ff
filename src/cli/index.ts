#!/usr/bin/env node
import { createRequire } from "node:module";
import { main } from "./main.js";

// From dist/cli/ as from src/cli/ it is two folders up.
const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };

await main(version);
