import { resolve } from "node:path";
import { usageError } from "./failure.js";
import { printable } from "./printable.js";

/** A store that a URL names. */
export type Target =
  | (Printed & { readonly kind: "sqlite"; readonly file: string })
  | (Printed & { readonly kind: "postgres" | "mysql" | "redis"; readonly url: string });

interface Printed {
  /** What may be printed: no user, no password. */
  readonly label: string;
  /** Takes the password out of a text. */
  redact(text: string): string;
}

const SERVERS = new Map<string, { kind: "postgres" | "mysql" | "redis"; name: string; port: string }>([
  ["postgres:", { kind: "postgres", name: "PostgreSQL", port: "5432" }],
  ["postgresql:", { kind: "postgres", name: "PostgreSQL", port: "5432" }],
  ["mysql:", { kind: "mysql", name: "MySQL", port: "3306" }],
  ["mariadb:", { kind: "mysql", name: "MariaDB", port: "3306" }],
  ["redis:", { kind: "redis", name: "Redis", port: "6379" }],
  ["rediss:", { kind: "redis", name: "Redis", port: "6379" }],
]);

const KINDS = "postgres://, mysql://, mariadb://, redis://, rediss://, sqlite:PATH or file:PATH";

/**
 * Finds the URL of the store: the one that was given, or that of the first variable that is set.
 *
 * @throws CommandError when there is none.
 */
export function findTarget(
  given: string | undefined,
  variables: readonly string[],
  env: NodeJS.ProcessEnv,
): Target {
  if (given !== undefined) return readTarget("--url", given);
  const name = variables.find((variable) => env[variable]);
  if (name !== undefined) return readTarget(name, env[name] as string);
  throw usageError(`No store is named: set ${variables.join(" or ")}, or give --url (${KINDS})`);
}

/** @throws CommandError that says where the URL came from, and nothing of it. */
function readTarget(from: string, text: string): Target {
  const file = /^(?:sqlite|file):(.*)$/s.exec(text)?.[1];
  if (file !== undefined) return sqliteTarget(from, file);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const server = SERVERS.get(url?.protocol ?? "");
  if (url === undefined || server === undefined) {
    throw usageError(`${from} is not a URL of a store: ${KINDS}`);
  }
  const { kind, name, port } = server;
  const passwords = [url.password, decoded(url.password), ...url.searchParams.values()];
  return {
    kind,
    url: kind === "mysql" ? text.replace(/^mariadb:/, "mysql:") : text,
    label: printable(`${name} at ${url.hostname || "localhost"}:${url.port || port}`),
    redact: (told) =>
      passwords.filter(Boolean).reduce((rest, password) => rest.replaceAll(password, "…"), told),
  };
}

function sqliteTarget(from: string, text: string): Target {
  const file = text.replace(/^\/\/(?=\/)/, ""); // sqlite:///var/keys.db
  if (file === "" || file.startsWith(":memory:")) {
    throw usageError(`${from} names no file: sqlite:keys.db`);
  }
  if (/[?#\0]/.test(file)) throw usageError(`${from} has options behind its file, which are not known here`);
  // Two slashes begin the name of a host; as a path, they would be those of the root directory.
  if (file.startsWith("//"))
    throw usageError(`${from} names no file: sqlite:keys.db, or sqlite:///var/keys.db`);
  return {
    kind: "sqlite",
    file: resolve(file),
    label: printable(`the SQLite file ${file}`),
    redact: (told) => told,
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
