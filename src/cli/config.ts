import { z } from "zod";
import type { Duration } from "../internal/duration.js";
import { redactName } from "../internal/redact.js";
import {
  createKeyManager,
  createVerifier,
  defineScopes,
  type GeneratedKeyFormat,
  type KeyFormat,
  type KeyManager,
  keyFormat,
  type LegacyHash,
  type ManagedKeyStore,
  type Observer,
  type Pepper,
  type Scopes,
  type Verifier,
} from "../kit.js";
import { usageError } from "./failure.js";
import { printable } from "./printable.js";

// A page of a large Redis store takes long, and who does not want to wait can interrupt.
const STORE_TIMEOUT = "10m";

const variable = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, "must be the name of an environment variable");

const isFunction = (value: unknown): boolean => typeof value === "function";

const PEPPER = 'names variables: { "variable" }, or { "current", "variables" }';

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
      { error: (issue) => (issue.code === "invalid_type" ? `${PEPPER}; never a pepper itself` : undefined) },
    )
    .refine(
      ({ variable, current, variables }) =>
        variable === undefined
          ? current !== undefined && Object.hasOwn(variables ?? {}, current)
          : current === undefined && variables === undefined,
      `${PEPPER}, with the current version among them`,
    )
    .optional(),
  maxLifetime: z.string().optional(),
  table: z.string().optional(),
  redisPrefix: z.string().optional(),
  // Only a module can have these.
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
        hash: z.custom<LegacyHash["hash"]>(isFunction, "must be a function, which only a module can have"),
      }),
    )
    .optional(),
});

/** What a configuration file says. */
type ConfigFile = z.infer<typeof schema>;

/** A configuration, ready to be used over a store. */
export interface Config {
  readonly scopes: Scopes;
  readonly format: GeneratedKeyFormat;
  /** That of new keys. */
  readonly environment: string | undefined;
  /** The variables that may hold the URL of the store, in their order. */
  readonly urlVariables: readonly string[];
  readonly table: string | undefined;
  readonly redisPrefix: string | undefined;
  manager(store: ManagedKeyStore, observers?: readonly Observer[]): KeyManager;
  verifier(store: ManagedKeyStore, environment: string | undefined, storeTimeout: Duration): Verifier;
}

/**
 * Reads what a file holds.
 *
 * @throws CommandError that names the file and the member at fault, and no value of it.
 */
export function readConfig(file: string, content: unknown, env: NodeJS.ProcessEnv): Config {
  const parsed = schema.safeParse(content);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => printable(`${file}: ${problemOf(issue)}`));
    throw usageError(problems.join("\n"));
  }
  const { pepper, legacyHashes, formats = [], maxLifetime, environment, ...given } = parsed.data;
  const orTell = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      if (error instanceof TypeError) throw usageError(printable(`${file}: ${error.message}`));
      throw error;
    }
  };

  const { prefix, environments, alphabet, length, checksum } = given;
  const scopes = orTell(() => defineScopes(given.scopes as Parameters<typeof defineScopes>[0])) as Scopes;
  const format = orTell(() =>
    keyFormat({
      ...(prefix !== undefined && { prefix }),
      ...(environments && { environments }),
      ...(alphabet !== undefined && { alphabet }),
      ...(length !== undefined && { length }),
      ...(checksum !== undefined && { checksum }),
    }),
  );
  if (environment !== undefined && !environments?.includes(environment)) {
    throw usageError(`${file}: "environment" must be one of "environments"`);
  }
  const hashing = {
    ...(pepper && { pepper: readPepper(file, pepper, env) }),
    ...(legacyHashes && { legacyHashes }),
  };

  return {
    scopes,
    format,
    environment,
    urlVariables: given.urlVariable === undefined ? ["KEYBEARER_URL", "DATABASE_URL"] : [given.urlVariable],
    table: given.table,
    redisPrefix: given.redisPrefix,

    manager: (store, observers = []) =>
      orTell(() =>
        createKeyManager({
          ...{ store, scopes, format, observers, storeTimeout: STORE_TIMEOUT, ...hashing },
          ...(maxLifetime !== undefined && { maxLifetime: maxLifetime as Duration }),
        }),
      ),

    verifier: (store, asked, storeTimeout) =>
      orTell(() =>
        createVerifier({
          ...{ store, scopes, storeTimeout, ...hashing },
          format: [format, ...formats],
          ...(asked !== undefined && { environment: asked }),
          rehash: false, // a question must change nothing
          exposeKeyState: true,
        }),
      ),
  };
}

/** What is wrong, and with which member. Whoever pasted a pepper where a name belongs does not get it back. */
function problemOf(issue: z.core.$ZodIssue): string {
  const { path, message } = issue;
  const steps = path[0] === "pepper" ? path.map((step) => shown(String(step))) : path;
  const member = path.length === 0 ? "" : `"${steps.join(".")}" `;
  if (issue.code !== "unrecognized_keys") return `${member}${message}`;
  return `${member}has no member ${issue.keys.map((name) => `"${shown(name)}"`).join(", ")}`;
}

/** To be put in quotes. */
function shown(name: string): string {
  return redactName(name).replace(/^"|"$/g, "");
}

/** @throws CommandError for a variable that is not set: without its pepper no key would be found. */
function readPepper(
  file: string,
  { variable, current, variables = {}, unpeppered }: NonNullable<ConfigFile["pepper"]>,
  env: NodeJS.ProcessEnv,
): Pepper {
  const pepperIn = (name: string): string => {
    const value = env[name];
    if (value) return value;
    throw usageError(`${file}: "pepper" names the variable ${redactName(name)}, which is not set`);
  };
  const version = variable === undefined ? (current as string) : "v1";
  const names = variable === undefined ? Object.entries(variables) : [["v1", variable] as const];
  return {
    current: version,
    keys: Object.fromEntries(names.map(([key, name]) => [key, pepperIn(name)])),
    ...(unpeppered !== undefined && { unpeppered }),
  };
}
