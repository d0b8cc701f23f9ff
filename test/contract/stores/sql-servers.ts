import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createConnection } from "mysql2/promise";
import { until } from "./redis-server.js";

const run = promisify(execFile);

/** A database server for one test, on loopback. The test may kill it. */
export interface SqlTestServer {
  readonly url: string;
  /** Starts it again with its files. */
  start(): Promise<void>;
  /** Stops it like a crash. Committed data is kept. */
  kill(): Promise<void>;
  /** Stops it and deletes its files. */
  dispose(): Promise<void>;
}

/** Whether the programs of a server are installed. In CI they must be. */
export function isInstalled(name: "postgres" | "mysql" | "redis"): boolean {
  if (process.env.CI) return true;
  if (name === "postgres") return (process.env.POSTGRES_BIN ?? newestOf("/usr/lib/postgresql")) !== undefined;
  const commands = name === "mysql" ? ["mariadbd", "mariadb-install-db"] : ["redis-server"];
  const folders = (process.env.PATH ?? "").split(":");
  return commands.every((command) => folders.some((folder) => existsSync(join(folder, command))));
}

/** Starts a PostgreSQL on a free port. */
export async function startPostgres(): Promise<SqlTestServer> {
  const bin = postgresBin();
  const directory = mkdtempSync(join(tmpdir(), "keybearer-postgres-"));
  const data = join(directory, "data");
  mkdirSync(data);
  if (process.getuid?.() === 0) await run("chown", ["-R", "postgres", directory]);
  const port = await freePort();
  const control = (...args: string[]) => asPostgres(`${bin}/pg_ctl`, `--pgdata=${data}`, "--wait", ...args);
  const start = async () => {
    await control(
      `--log=${data}/log`,
      `--options=-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=${data} -c fsync=off`,
      "start",
    );
  };
  const kill = async () => {
    await control("--mode=immediate", "stop");
  };
  const dispose = async () => {
    await kill().catch(() => {}); // it may not be running
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await asPostgres(`${bin}/initdb`, "--auth=trust", "--username=postgres", "--no-sync", `--pgdata=${data}`);
    await start();
  } catch (error) {
    await dispose();
    throw error;
  }
  return { url: `postgres://postgres@127.0.0.1:${port}/postgres`, start, kill, dispose };
}

/** Starts a MariaDB on a free port, with a database `test`. */
export async function startMariadb(): Promise<SqlTestServer> {
  const directory = mkdtempSync(join(tmpdir(), "keybearer-mariadb-"));
  const data = join(directory, "data");
  const user = process.getuid?.() === 0 ? ["--user=mysql"] : [];
  if (user.length > 0) await run("chown", ["-R", "mysql", directory]);
  const port = await freePort();
  const url = `mysql://root@127.0.0.1:${port}/test`;
  let child: ChildProcess | undefined;

  const start = async () => {
    const options = [`--datadir=${data}`, `--port=${port}`, `--socket=${directory}/socket`];
    const started = spawn("mariadbd", ["--no-defaults", ...user, ...options, "--bind-address=127.0.0.1"], {
      stdio: "ignore",
    });
    child = started;
    await until(async () => {
      if (started.exitCode !== null) throw new Error(`mariadbd ended with ${started.exitCode}`);
      const connection = await createConnection(url).catch(() => undefined);
      await connection?.end();
      return connection !== undefined;
    });
  };
  const kill = async () => {
    child?.kill("SIGKILL");
    if (child && child.exitCode === null && child.signalCode === null) await once(child, "exit");
  };
  const dispose = async () => {
    await kill();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const options = ["--auth-root-authentication-method=normal", `--datadir=${data}`];
    await run("mariadb-install-db", ["--no-defaults", ...user, ...options]);
    await start();
  } catch (error) {
    await dispose();
    throw error;
  }
  return { url, start, kill, dispose };
}

/** PostgreSQL does not run as root. */
function asPostgres(command: string, ...args: string[]): Promise<unknown> {
  return process.getuid?.() === 0
    ? run("runuser", ["-u", "postgres", "--", command, ...args])
    : run(command, args);
}

function postgresBin(): string {
  const found = process.env.POSTGRES_BIN ?? newestOf("/usr/lib/postgresql");
  if (found === undefined) throw new Error("initdb was not found. Set POSTGRES_BIN to its directory");
  return found;
}

function newestOf(root: string): string | undefined {
  if (!existsSync(root)) return undefined;
  const versions = readdirSync(root).sort((a, b) => Number(b) - Number(a));
  return versions.map((version) => join(root, version, "bin")).find((bin) => existsSync(join(bin, "initdb")));
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
