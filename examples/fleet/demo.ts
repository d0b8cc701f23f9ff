import { relative } from "node:path";
import { parseArgs } from "node:util";
import { HOST } from "../serve.js";
import { createReport } from "./report.js";
import { adjustableClock, issue, runScenario } from "./scenario.js";
import type { Framework, RunningFleet } from "./serve.js";

const FRAMEWORKS: readonly string[] = ["express", "koa", "hono", "fastify"] satisfies Framework[];

const HELP = `Runs a scenario with API keys against the fleet API, then keeps the server running for you to try.

Usage: npm run demo [-- --once]

  --once       stop after the scenario; exit with 0 if all checks passed, otherwise with 1
  -h, --help   show this help

Environment:
  FRAMEWORK    ${FRAMEWORKS.join(", ")} (default: express)
  PORT         the port to listen on, at ${HOST} (default: any free port)
  DATA         the database file (default: examples/fleet/.data/fleet.db)
  TRUSTED_PROXIES  networks of trusted proxies, such as loopback,10.0.0.0/8 (default: none)`;

/** An invalid argument or environment variable. */
class UsageError extends Error {}

function readOptions() {
  let values: { once?: boolean; help?: boolean };
  try {
    const options = { once: { type: "boolean" }, help: { type: "boolean", short: "h" } } as const;
    values = parseArgs({ options }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const framework = process.env.FRAMEWORK || "express";
  if (!isFramework(framework)) {
    throw new UsageError(
      `FRAMEWORK must be one of ${FRAMEWORKS.join(", ")}; received ${JSON.stringify(framework)}`,
    );
  }
  const port = process.env.PORT || "0";
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
    throw new UsageError(`PORT must be an integer from 0 to 65535; received ${JSON.stringify(port)}`);
  }
  return { once: values.once === true, help: values.help === true, framework, port: Number(port) };
}

function isFramework(name: string): name is Framework {
  return FRAMEWORKS.includes(name);
}

async function main(): Promise<void> {
  const options = readOptions();
  if (options.help) return console.log(HELP);

  console.log("Starting the fleet API …");
  const { start } = await import("./serve.js"); // takes a while: it loads the framework and the sources
  const clock = adjustableClock();
  const colour = process.stdout.isTTY === true && !process.env.NO_COLOR;
  const report = createReport(console.log, colour);
  let opened = false;
  const open = async (port = options.port): Promise<RunningFleet> => {
    const fleet = await start(options.framework, port, { clock: clock.now });
    if (!opened) {
      report.heading(`The fleet API in ${options.framework}, at ${fleet.url}`);
      report.print(`Database: ${relative(process.cwd(), fleet.data)}`);
    }
    opened = true;
    return fleet;
  };

  const fleet = await runScenario({ open, clock, report });
  process.exitCode = report.summary() ? 0 : 1;
  if (!options.once) await keepServing(fleet);
  await fleet.close();
}

/** Prints commands to try and waits for Ctrl-C. */
async function keepServing(fleet: RunningFleet): Promise<void> {
  const { secret: readKey } = await issue(fleet, "Demo reader", "acme-haulage", ["vehicles:read"]);
  const curl = (path: string, secret: string, more = "") =>
    `curl -i ${fleet.url}${path} -H 'Authorization: Bearer ${secret}'${more}`;
  const adminJwt = await fleet.adminJwt("acme-haulage");
  const newKey = JSON.stringify({ name: "My key", scopes: ["hos:read"], environment: "live" });

  console.log(`
Manage the keys of acme-haulage in a browser. The link can be opened once, within 15 minutes:

${await fleet.keyPageLink("acme-haulage")}

Try these commands in another terminal. The key is valid for a week, the JWT until the server stops.

# list vehicles
${curl("/fleet/vehicles", readKey)}

# denied with 403: the key has no scope for inspections
${curl("/fleet/inspections", readKey)}

# create a key as an admin of acme-haulage, with a JWT
${curl("/admin/api-keys", adminJwt, ` -H 'Content-Type: application/json' -d '${newKey}'`)}

Ctrl-C stops the server.`);
  await new Promise<void>((stop) => {
    // The handlers stay in place: after Ctrl-C, npm and tsx forward a second signal.
    for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => stop());
    // npm forwards SIGTERM to its shell only, so the server also stops when its parent process is gone.
    const parent = process.ppid;
    setInterval(() => process.ppid !== parent && stop(), 250).unref();
  });
  console.log("\nStopped.");
}

try {
  await main();
} catch (error) {
  if (error instanceof UsageError) {
    console.error(`${error.message}\nSee npm run demo -- --help`);
    process.exitCode = 2;
  } else if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") {
    console.error(
      `Port ${process.env.PORT} on ${HOST} is in use. Set PORT to another port, or leave it unset.`,
    );
    process.exitCode = 1;
  } else if (/^(SQLITE|E[A-Z]+)/.test((error as NodeJS.ErrnoException).code ?? "")) {
    console.error(`The database cannot be opened: ${(error as Error).message}\nSee npm run demo -- --help`);
    process.exitCode = 1;
  } else {
    console.error(error);
    process.exitCode = 1;
  }
}
