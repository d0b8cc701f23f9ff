import { relative } from "node:path";
import { parseArgs } from "node:util";
import { createReport } from "./report.js";
import { FRAMEWORKS, type Framework, HOST, type RunningFleet, start } from "./serve.js";
import { adjustableClock, issue, walk } from "./walk.js";

const HELP = `Walks through the life of API keys against the fleet API, then keeps it running for you to try.

Usage: npm run demo [-- --once]

  --once       stop after the walk; exit 0 if everything answered as it should, else 1
  -h, --help   show this

Environment:
  FRAMEWORK    ${FRAMEWORKS.join(", ")} (default: express)
  PORT         where to listen on ${HOST} (default: any free port)
  DATA         the database file (default: examples/fleet/.data/fleet.db)
  TRUSTED_PROXIES  networks whose X-Forwarded-For is believed, such as loopback,10.0.0.0/8 (default: none)`;

/** The command line or the environment asks for something that there is not. */
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
    throw new UsageError(`FRAMEWORK is ${JSON.stringify(framework)}; it can be ${FRAMEWORKS.join(", ")}`);
  }
  const port = process.env.PORT || "0";
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
    throw new UsageError(`PORT is ${JSON.stringify(port)}; it must be a number from 0 to 65535`);
  }
  return { once: values.once === true, help: values.help === true, framework, port: Number(port) };
}

function isFramework(name: string): name is Framework {
  return (FRAMEWORKS as string[]).includes(name);
}

async function main(): Promise<void> {
  const options = readOptions();
  if (options.help) return console.log(HELP);

  const clock = adjustableClock();
  const colour = process.stdout.isTTY === true && !process.env.NO_COLOR;
  const report = createReport(console.log, colour);
  let opened = false;
  const open = async (port = options.port): Promise<RunningFleet> => {
    const fleet = await start(options.framework, port, { clock: clock.now });
    if (!opened) {
      report.heading(`The fleet API in ${options.framework}, at ${fleet.url}`);
      report.print(`Its keys are in ${relative(process.cwd(), fleet.data)}`);
    }
    opened = true;
    return fleet;
  };

  const fleet = await walk({ open, clock, report });
  process.exitCode = report.summary() ? 0 : 1;
  if (!options.once) await keepServing(fleet);
  await fleet.close();
}

/** Prints what to paste, and waits for Ctrl-C. */
async function keepServing(fleet: RunningFleet): Promise<void> {
  const { secret: reader } = await issue(fleet, "Reader for you", "acme-haulage", ["vehicles:read"]);
  const { secret: writer } = await issue(fleet, "Writer for you", "acme-haulage", ["drivers:write"]);
  const curl = (path: string, secret?: string, more = "") => {
    const header = secret === undefined ? "" : ` -H 'Authorization: Bearer ${secret}'`;
    return `curl -i ${fleet.url}${path}${header}${more}`;
  };
  const adminJwt = await fleet.adminJwt("acme-haulage");
  const json = (method: string, body: object) =>
    ` -X ${method} -H 'Content-Type: application/json' -d '${JSON.stringify(body)}'`;

  console.log(`
Try it yourself, in another terminal. These are real keys, good for a week or until you delete the data file.
The JWT is good until the server stops.

# your vehicles
${curl("/fleet/vehicles", reader)}

# what this key is
${curl("/me", reader)}

# a new driver
${curl("/fleet/drivers", writer, json("POST", { name: "Noor Haddad", licence: "NL-CE-500112" }))}

# a changed one
${curl("/fleet/drivers/drv_1", writer, json("PATCH", { status: "inactive" }))}

# a new key, made with the JWT of an admin of acme-haulage
${curl("/admin/api-keys", adminJwt, json("POST", { name: "Yours", scopes: ["hos:read"], environment: "live" }))}

# the keys of acme-haulage
${curl("/admin/api-keys?status=active", adminJwt)}

# refused with 403: this key may not
${curl("/fleet/inspections", reader)}

# refused with 401: no key
${curl("/fleet/vehicles")}

Ctrl-C stops the server.`);
  await new Promise<void>((stop) => {
    // Stays in place: a terminal sends Ctrl-C to npm and tsx too, and they pass it on.
    for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => stop());
    // npm tells a SIGTERM to its shell alone; without its parent the server would stay behind.
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
    console.error(`Port ${process.env.PORT} on ${HOST} is in use. Set PORT to another, or leave it out.`);
    process.exitCode = 1;
  } else if (/^(SQLITE|E[A-Z]+)/.test((error as NodeJS.ErrnoException).code ?? "")) {
    console.error(`The keys cannot be opened: ${(error as Error).message}\nSee npm run demo -- --help`);
    process.exitCode = 1;
  } else {
    console.error(error);
    process.exitCode = 1;
  }
}
