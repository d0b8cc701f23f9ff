import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Row, Section } from "./rows.js";

/**
 * Runs a section in its own process, which prints its rows as lines of JSON. `node` is the path of another version of Node.
 * If the section fails, so does this process.
 */
export function runSection(
  section: Section,
  args: readonly string[] = [],
  node: string = process.execPath,
): readonly Row[] {
  const file = fileURLToPath(new URL(`sections/${section}.ts`, import.meta.url));
  const { status, stdout } = spawnSync(node, ["--expose-gc", "--import", "tsx", file, ...args], {
    cwd: fileURLToPath(new URL(".", import.meta.url)),
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 2 ** 24,
  });
  if (status !== 0) process.exitCode = 1;
  return stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
}
