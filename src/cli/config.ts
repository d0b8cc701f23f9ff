import { z } from "zod";
import type { Duration } from "../internal/duration.js";
import { redactName } from "../internal/redact.js";
import {
  createKeyManager,
  createVerifier,
  defineScopes,
  type GeneratedKeyFormat,
  type KeyFormat,
  type KeyFormatOptions,
  type KeyManager,
  keyFormat,
  type LegacyHash,
  type ManagedKeyStore,
  type Observer,
  type Pepper,
  type Scopes,
  type Verifier,
  type VerifierOptions,
} from "../kit.js";
import { usageError } from "./errors.js";
import { escapeText } from "./escape.js";
import { SERVICE_SCOPES } from "./serve/service-scopes.js";

// A page of a large Redis store may take minutes, and a command can be interrupted.
const STORE_TIMEOUT = "10m";

const variable = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, "must be the name of an environment variable");

const isFunction = (value: unknown): boolean => typeof value === "function";

/** Scopes from `defineScopes`, which may be of another copy of this package. */
const isScopes = (value: unknown): value is Scopes =>
  isFunction((value as Scopes | null | undefined)?.isGrantable);

const isFormat = (value: unknown): boolean => {
  const { parse, generate } = (value ?? {}) as Partial<GeneratedKeyFormat>;
  return isFunction(parse) && isFunction(generate);
};

const FORMAT_MEMBERS = ["prefix", "environments", "alphabet", "length", "checksum"] as const;

const MANAGER_MEMBERS = ["maxLifetime", "maxOverlap", "maxKeysPerOwner", "maxBytesPerOwner"] as const;

const PEPPER = 'must name environment variables, as { "variable" } or { "current", "variables" }';

const schema = z.strictObject({
  $schema: z.string().optional(),
  prefix: z.string().optional(),
  environments: z.array(z.string()).min(1).optional(),
  environment: z.string().optional(),
  alphabet: z.string().optional(),
  length: z.number().int().optional(),
  checksum: z.boolean().optional(),
  scopes: z.record(
    z.string(),
    z.strictObject({
      description: z.string().optional(),
      implies: z.array(z.string()).optional(),
      status: z.enum(["active", "planned"]).optional(),
      audit: z.boolean().optional(),
    }),
  ),
  urlVariable: variable.optional(),
  pepper: z
    .strictObject(
      {
        variable: variable.optional(),
        current: z.string().optional(),
        variables: z.record(z.string(), variable).optional(),
        unpeppered: z.boolean().optional(),
      },
      {
        error: (issue) => (issue.code === "invalid_type" ? `${PEPPER}; it must not be a pepper` : undefined),
      },
    )
    .refine(
      ({ variable, current, variables }) =>
        variable === undefined
          ? current !== undefined && Object.hasOwn(variables ?? {}, current)
          : current === undefined && variables === undefined,
      `${PEPPER}, where "variables" has the current version`,
    )
    .optional(),
  maxLifetime: z.string().optional(),
  maxOverlap: z.string().optional(),
  maxKeysPerOwner: z.number().int().optional(),
  maxBytesPerOwner: z.number().int().optional(),
  table: z.string().optional(),
  redisPrefix: z.string().optional(),
  serve: z.unknown().optional(), // checked by "keybearer serve"
  // Objects and functions need a JavaScript or TypeScript configuration file.
  format: z
    .custom<GeneratedKeyFormat>(
      isFormat,
      "must have the methods parse() and generate(), as that of keyFormat()",
    )
    .optional(),
  formats: z
    .array(
      z.custom<KeyFormat>(
        (value) => isFunction((value as KeyFormat | null | undefined)?.parse),
        "must have a method parse()",
      ),
    )
    .optional(),
  legacyHashes: z
    .array(
      z.strictObject({
        name: z.string(),
        hash: z.custom<LegacyHash["hash"]>(isFunction, "must be a function, in a .js or .mjs file"),
      }),
    )
    .optional(),
});

/** The content of a configuration file. */
type ConfigFile = z.infer<typeof schema>;

/** A checked configuration. */
export interface Config {
  readonly scopes: Scopes;
  readonly format: GeneratedKeyFormat;
  /** The format of new secrets, and the others that verifiers accept. */
  readonly formats: readonly KeyFormat[];
  /** The environment of new keys. */
  readonly environment: string | undefined;
  /** The environment variables for the URL of the store, by priority. */
  readonly urlVariables: readonly string[];
  readonly table: string | undefined;
  readonly redisPrefix: string | undefined;
  /** The member "serve", unchecked. */
  readonly serve: unknown;
  manager(store: ManagedKeyStore, observers?: readonly Observer[], storeTimeout?: Duration): KeyManager;
  /** Creates a verifier of `keybearer serve`. */
  serviceVerifier(options: Omit<VerifierOptions, "scopes" | "format">, format?: KeyFormat): Verifier;
  verifier(store: ManagedKeyStore, environment: string | undefined, storeTimeout: Duration): Verifier;
}

/**
 * Checks the content of a configuration file.
 *
 * @throws CommandError that names the file and the invalid member, but not its value.
 */
export function readConfig(file: string, content: unknown, env: NodeJS.ProcessEnv): Config {
  const members = content as { readonly scopes?: unknown } | null | undefined;
  const sharedScopes = isScopes(members?.scopes) ? members.scopes : undefined;
  const parsed = schema.safeParse(sharedScopes === undefined ? content : { ...members, scopes: {} });
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => escapeText(`${file}: ${describeIssue(issue)}`));
    throw usageError(problems.join("\n"));
  }
  const { pepper, legacyHashes, formats: others = [], environment, ...rest } = parsed.data;
  const withFileName = <T>(create: () => T): T => {
    try {
      return create();
    } catch (error) {
      if (error instanceof TypeError) throw usageError(escapeText(`${file}: ${error.message}`));
      throw error;
    }
  };

  const definitions = rest.serve === undefined ? rest.scopes : { ...rest.scopes, ...SERVICE_SCOPES };
  const scopes =
    sharedScopes ??
    (withFileName(() => defineScopes(definitions as Parameters<typeof defineScopes>[0])) as Scopes);
  const formatMembers = FORMAT_MEMBERS.filter((name) => rest[name] !== undefined);
  if (rest.format !== undefined && formatMembers[0] !== undefined) {
    throw usageError(`${file}: "${formatMembers[0]}" is part of "format"; remove one of them`);
  }
  const formatOptions = Object.fromEntries(formatMembers.map((name) => [name, rest[name]]));
  const format = rest.format ?? withFileName(() => keyFormat(formatOptions as KeyFormatOptions));
  if (environment !== undefined && !format.environments?.includes(environment)) {
    throw usageError(`${file}: "environment" must be one of "environments"`);
  }
  const formats = [format, ...others];
  const hashing = {
    ...(pepper && { pepper: readPepper(file, pepper, env) }),
    ...(legacyHashes && { legacyHashes }),
  };

  return {
    scopes,
    format,
    formats,
    environment,
    urlVariables: rest.urlVariable === undefined ? ["KEYBEARER_URL", "DATABASE_URL"] : [rest.urlVariable],
    table: rest.table,
    redisPrefix: rest.redisPrefix,
    serve: rest.serve,

    manager: (store, observers = [], storeTimeout = STORE_TIMEOUT) =>
      withFileName(() =>
        createKeyManager({
          ...{ store, scopes, format, observers, storeTimeout, ...hashing },
          ...pickSet(rest, MANAGER_MEMBERS),
        }),
      ),

    verifier: (store, serviceEnvironment, storeTimeout) =>
      withFileName(() =>
        createVerifier({
          ...{ store, scopes, storeTimeout, ...hashing },
          format: formats,
          ...(serviceEnvironment !== undefined && { environment: serviceEnvironment }),
          rehash: false, // verify must not write
          exposeKeyState: true,
        }),
      ),

    serviceVerifier: (options, only) =>
      withFileName(() =>
        createVerifier({
          ...options,
          ...{ scopes, format: only ?? [format, ...formats], ...hashing },
          ...(only === undefined && environment !== undefined && { environment }),
        }),
      ),
  };
}

/** Copies the members that are set. */
function pickSet<T extends object, K extends keyof T>(source: T, names: readonly K[]): object {
  return Object.fromEntries(
    names.filter((name) => source[name] !== undefined).map((name) => [name, source[name]]),
  );
}

/** Describes an issue. Names in "pepper" are redacted: a pepper may have been pasted there. */
function describeIssue(issue: z.core.$ZodIssue): string {
  const { path, message } = issue;
  const steps = path[0] === "pepper" ? path.map((step) => unquoted(String(step))) : path;
  const member = path.length === 0 ? "" : `"${steps.join(".")}" `;
  if (issue.code !== "unrecognized_keys") return `${member}${message}`;
  const names = issue.keys.map((name) => `"${unquoted(name)}"`).join(", ");
  return `${member === "" ? "" : `${member}has an `}unknown member ${names}`;
}

function unquoted(name: string): string {
  return redactName(name).replace(/^"|"$/g, "");
}

/** @throws CommandError if a variable is not set: without its pepper no key would be found. */
function readPepper(
  file: string,
  { variable, current, variables = {}, unpeppered }: NonNullable<ConfigFile["pepper"]>,
  env: NodeJS.ProcessEnv,
): Pepper {
  const pepperIn = (name: string): string => {
    const value = env[name];
    if (value) return value;
    throw usageError(`${file}: the environment variable ${redactName(name)} in "pepper" is not set`);
  };
  const version = variable === undefined ? (current as string) : "v1";
  const names = variable === undefined ? Object.entries(variables) : [["v1", variable] as const];
  return {
    current: version,
    keys: Object.fromEntries(names.map(([key, name]) => [key, pepperIn(name)])),
    ...(unpeppered !== undefined && { unpeppered }),
  };
}
