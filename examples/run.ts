import { parseArgs } from "node:util";
import type { Example } from "./example.js";
import { HOST } from "./serve.js";

const NAMES = ["eztotrack", "legacy-partner", "inspections", "trackyard", "eazip", "metrics", "custom-guard"];

const HELP = `Starts an example on ${HOST} and serves it until you stop it.

Usage: npm run example -- NAME [--json]

NAME is one of ${NAMES.join(", ")}.

  --json       print one JSON object instead of commands to try: "url", and every credential that a client needs
  -h, --help   show this help

Environment:
  PORT         the port to listen on (default: any free port)`;

/** An invalid argument or environment variable. */
class UsageError extends Error {}

function readOptions() {
  let parsed: { values: { help?: boolean; json?: boolean }; positionals: string[] };
  try {
    parsed = parseArgs({
      options: { help: { type: "boolean", short: "h" }, json: { type: "boolean" } },
      allowPositionals: true,
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { values, positionals } = parsed;
  const [name = "", ...more] = positionals;
  if (values.help === true) return undefined;
  if (!NAMES.includes(name) || more.length > 0) {
    throw new UsageError(`Name one example: ${NAMES.join(", ")}`);
  }
  const port = process.env.PORT || "0";
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
    throw new UsageError(`PORT must be an integer from 0 to 65535; received ${JSON.stringify(port)}`);
  }
  return { name, port: Number(port), json: values.json === true };
}

async function main(): Promise<void> {
  const options = readOptions();
  if (options === undefined) return console.log(HELP);
  const { start }: Example = await import(`./${options.name}/main.js`);
  const running = await start({ port: options.port });
  console.log(options.json ? JSON.stringify(running.credentials) : running.guide.trim());
  if (!options.json) console.log("\nCtrl-C stops the server.");
  await new Promise<void>((stop) => {
    for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => stop());
    // npm forwards SIGTERM to its shell only, so the server also stops when its parent process is gone.
    const parent = process.ppid;
    setInterval(() => process.ppid !== parent && stop(), 250).unref();
  });
  await running.close();
}

try {
  await main();
} catch (error) {
  if (error instanceof UsageError) {
    console.error(`${error.message}\nSee npm run example -- --help`);
    process.exitCode = 2;
  } else if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") {
    console.error(
      `Port ${process.env.PORT} on ${HOST} is in use. Set PORT to another port, or leave it unset.`,
    );
    process.exitCode = 1;
  } else {
    console.error(error);
    process.exitCode = 1;
  }
}
