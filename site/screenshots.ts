// Draws the command line and the demo, as they print on a terminal, to site/public/screenshots. Needs util-linux.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "./markdown.js";
import { drawTerminal } from "./terminal.js";

const FOLDER = join(ROOT, "site/public/screenshots");
const COLUMNS = 96;

const CONFIG = `import { defineScopes, keyFormat } from "keybearer";
export const scopes = defineScopes({
  "vehicles:read": { description: "List and view vehicles" },
  "vehicles:write": { description: "Create and update vehicles", implies: ["vehicles:read"] },
  "drivers:read": { description: "List and view drivers" },
});
export const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
`;

const SESSION = [
  `SECRET=$(npx keybearer create --owner acme --name "CI pipeline" --environment live \\
    --scope vehicles:write --expires 90d)`,
  `printf %s "$SECRET" | npx keybearer verify --scope drivers:read`,
  "npx keybearer list",
];

/** A key that exists before the session. */
const OTHER_KEY =
  "--owner borealis --name Office --environment live --scope vehicles:read --ip 203.0.113.0/24";

mkdirSync(FOLDER, { recursive: true });
draw("cli", "keybearer", commandLine());
draw("demo", "npm run demo", demo());

function draw(file: string, title: string, output: string): void {
  // A picture of a whole secret would alarm scanners of leaked secrets.
  const shown = output.replace(/\b(ezt_(?:live|test)_\w{4})\w{12,}/g, "$1…");
  writeFileSync(join(FOLDER, `${file}.svg`), drawTerminal(title, shown));
}

function commandLine(): string {
  const directory = mkdtempSync(join(tmpdir(), "keybearer-screenshots-"));
  try {
    writeFileSync(join(directory, "keybearer.config.mjs"), CONFIG);
    writeFileSync(join(directory, "package.json"), "{}");
    mkdirSync(join(directory, "node_modules"));
    symlinkSync(ROOT, join(directory, "node_modules/keybearer"));
    symlinkSync(join(ROOT, "node_modules/libsql"), join(directory, "node_modules/libsql"));
    const commands = SESSION.map(
      (command) => `printf '\\033[32m$\\033[0m %s\\n' '${command}'\n${command}\necho`,
    );
    const script = [
      `npx() { shift; node "${join(ROOT, "dist/cli/index.js")}" "$@"; }`,
      `{ npx keybearer migrate; npx keybearer create ${OTHER_KEY}; } > /dev/null 2>&1`,
      ...commands,
    ].join("\n");
    writeFileSync(join(directory, "session.sh"), script);
    return onTerminal("bash session.sh", directory, { KEYBEARER_URL: "sqlite:keys.db", PAGER: "cat" });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Returns the introduction of the demo and its first steps. */
function demo(): string {
  return onTerminal("npm run --silent demo -- --once", ROOT, {}).split(/^.*\b5\. /m)[0] as string;
}

/** Returns what a command prints on a terminal. */
function onTerminal(command: string, cwd: string, env: Readonly<Record<string, string>>): string {
  return execFileSync("script", ["-qec", `stty cols ${COLUMNS}; ${command}`, "/dev/null"], {
    cwd,
    env: { ...process.env, ...env, TERM: "xterm-256color", FORCE_COLOR: "1" },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
}
