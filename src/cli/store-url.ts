import { resolve } from "node:path";
import { usageError } from "./errors.js";
import { escapeText } from "./escape.js";

/** The store that a URL refers to. */
export type StoreTarget =
  | (Printable & { readonly kind: "sqlite"; readonly file: string })
  | (Printable & { readonly kind: "postgres" | "mysql" | "redis"; readonly url: string });

interface Printable {
  /** The store for messages, without user and password. */
  readonly label: string;
  /** Removes the password from a text. */
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

const SCHEMES = "postgres://, mysql://, mariadb://, redis://, rediss://, sqlite:PATH or file:PATH";

/**
 * Returns the store of `--url`, or of the first environment variable that is set.
 *
 * @throws CommandError if there is no URL, or it is invalid.
 */
export function resolveStoreUrl(
  url: string | undefined,
  variables: readonly string[],
  env: NodeJS.ProcessEnv,
): StoreTarget {
  if (url !== undefined) return parseStoreUrl("--url", url);
  const name = variables.find((variable) => env[variable]);
  if (name !== undefined) return parseStoreUrl(name, env[name] as string);
  throw usageError(`No store URL. Set ${variables.join(" or ")}, or pass --url (${SCHEMES})`);
}

/** @throws CommandError that names the source of an invalid URL, and does not contain the URL. */
function parseStoreUrl(source: string, text: string): StoreTarget {
  const file = /^(?:sqlite|file):(.*)$/s.exec(text)?.[1];
  if (file !== undefined) return sqliteTarget(source, file);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const server = SERVERS.get(url?.protocol ?? "");
  if (url === undefined || server === undefined) {
    throw usageError(`${source} is not a store URL; expected ${SCHEMES}`);
  }
  const { kind, name, port } = server;
  const passwords = [url.password, decode(url.password), ...url.searchParams.values()];
  return {
    kind,
    url: kind === "mysql" ? text.replace(/^mariadb:/, "mysql:") : text,
    label: escapeText(`${name} at ${url.hostname || "localhost"}:${url.port || port}`),
    redact: (message) =>
      passwords.filter(Boolean).reduce((rest, password) => rest.replaceAll(password, "…"), message),
  };
}

function sqliteTarget(source: string, text: string): StoreTarget {
  const file = text.replace(/^\/\/(?=\/)/, ""); // sqlite:///var/keys.db
  if (file === "" || file.startsWith(":memory:")) {
    throw usageError(`${source} must contain a file, such as sqlite:keys.db`);
  }
  if (/[?#\0]/.test(file)) throw usageError(`${source} must not have options after the file`);
  // "//name" would be a host in a URL, and the root directory in a path.
  if (file.startsWith("//")) {
    throw usageError(`${source} must contain a file, such as sqlite:keys.db or sqlite:///var/keys.db`);
  }
  return {
    kind: "sqlite",
    file: resolve(file),
    label: escapeText(`SQLite file ${file}`),
    redact: (message) => message,
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
