import { z } from "zod";
import { type GatewayProxy, PROXIES } from "../../gateway/proxies.js";
import { parseDuration } from "../../internal/duration.js";
import { cidrProblem, type Duration } from "../../kit.js";
import { type Config, readConfig } from "../config.js";
import { findConfigFiles, readContent } from "../config-file.js";
import { usageError } from "../errors.js";
import { escapeText } from "../escape.js";
import { jsonLine } from "./json-line.js";

const duration = z.custom<Duration>(
  (value) => typeof value === "string" && Boolean(parseDuration(value)),
  'must be a duration such as "30s"',
);
const name = z.string().min(1).max(255);
const port = z.int("must be an integer").min(0).max(65_535);
const workers = z.int("must be an integer").min(1).max(64);
const variable = z.string().regex(/^[A-Za-z_]\w{0,127}$/, "must be the name of an environment variable");
const url = z.string().refine((value) => URL.canParse(value), "must be a URL");
const networks = z.array(
  z.string().refine((text) => cidrProblem(text) === undefined, "must be an address or a network as CIDR"),
);

const schema = z.strictObject({
  host: name.default("127.0.0.1"),
  port: port.default(8080),
  workers: workers.default(1),
  operator: name.default("operator"),
  publicUrl: url.optional(),
  trustedProxies: networks.default([]),
  openVerify: z.boolean().default(false),
  oidc: z
    .strictObject({
      issuer: url,
      audience: name,
      algorithms: z.array(name).min(1).default(["RS256", "ES256"]),
      ownerClaim: name.default("org_id"),
      administrators: z.array(name).default([]),
      scopes: z.array(name).optional(),
    })
    .optional(),
  tokens: z
    .strictObject({
      issuer: url,
      audience: name,
      ttl: duration.default("5m"),
      keyVariable: variable,
    })
    .optional(),
  leaks: z
    .strictObject({
      action: z.enum(["revoke", "disable", "report"]).default("revoke"),
      github: z.boolean().default(true),
      gitlab: z.strictObject({ credentialVariable: variable, types: z.array(name).min(1) }).optional(),
      trufflehog: z.strictObject({ credentialVariable: variable }).optional(),
    })
    .optional(),
  gateway: z
    .strictObject({
      proxy: z.enum(PROXIES),
      peers: networks.optional(),
      tokenVariable: variable.optional(),
      routes: z
        .array(
          z.strictObject({
            method: z.union([name, z.array(name)]).optional(),
            path: name,
            requires: z.union([name, z.array(name), z.strictObject({ anyOf: z.array(name) })]).optional(),
            access: z.enum(["any-key", "public", "deny"]).optional(),
          }),
        )
        .min(1),
    })
    .optional(),
  cache: z.strictObject({ ttl: duration.default("10m"), heartbeat: duration.default("1s") }).prefault({}),
  limits: z
    .strictObject({
      headerBytes: z.int().min(1_024).max(65_536).default(16_384),
      headersTimeout: duration.default("10s"),
      requestTimeout: duration.default("30s"),
      connections: z.int().min(1).max(1_000_000).default(10_000),
      shutdown: duration.default("10s"),
    })
    .prefault({}),
});

/** The checked settings of the service. */
export interface Settings {
  readonly host: string;
  readonly port: number;
  readonly workers: number;
  /** The owner of the keys that administer the service. Its services verify the keys of every owner. */
  readonly operator: string;
  /** The URL of the key page; no page without it. */
  readonly publicUrl?: string | undefined;
  readonly trustedProxies: readonly string[];
  /** Whether `POST /verify` needs no credential. On a loopback address only. */
  readonly openVerify: boolean;
  readonly oidc?: OidcSettings | undefined;
  readonly tokens?: TokenSettings | undefined;
  readonly leaks?: LeakSettings | undefined;
  readonly gateway?: GatewaySettings | undefined;
  readonly cache: { readonly ttl: Duration; readonly heartbeat: Duration };
  readonly limits: {
    readonly headerBytes: number;
    readonly headersTimeout: Duration;
    readonly requestTimeout: Duration;
    readonly connections: number;
    /** How long requests in progress may take after SIGTERM. */
    readonly shutdown: Duration;
  };
}

/** An issuer whose tokens manage keys. */
interface OidcSettings {
  readonly issuer: string;
  readonly audience: string;
  readonly algorithms: readonly string[];
  /** The claim that names the owner. */
  readonly ownerClaim: string;
  /** The subjects that administer the service. */
  readonly administrators: readonly string[];
  /** The scopes of every other subject, instead of those in its token. */
  readonly scopes?: readonly string[] | undefined;
}

/** The token service. */
interface TokenSettings {
  readonly issuer: string;
  readonly audience: string;
  readonly ttl: Duration;
  /** The environment variable with the private key. */
  readonly keyVariable: string;
}

/** The receiver of reports of leaked secrets. */
export interface LeakSettings {
  readonly action: "revoke" | "disable" | "report";
  readonly github: boolean;
  readonly gitlab?: { readonly credentialVariable: string; readonly types: readonly string[] } | undefined;
  readonly trufflehog?: { readonly credentialVariable: string } | undefined;
}

/** The gateway at `/authz`. */
export interface GatewaySettings {
  readonly proxy: GatewayProxy;
  readonly peers?: readonly string[] | undefined;
  /** The environment variable with the token of the proxy. */
  readonly tokenVariable?: string | undefined;
  readonly routes: readonly object[];
}

/** The values of command line options; they override the environment, which overrides the file. */
export interface SettingFlags {
  readonly host?: string;
  readonly port?: string;
  readonly workers?: string;
}

/** How an environment variable is read. */
const VARIABLES: Readonly<Record<string, readonly [member: string, read: (text: string) => unknown]>> = {
  KEYBEARER_HOST: ["host", String],
  KEYBEARER_PORT: ["port", Number],
  KEYBEARER_WORKERS: ["workers", Number],
  KEYBEARER_OPERATOR: ["operator", String],
  KEYBEARER_PUBLIC_URL: ["publicUrl", String],
  KEYBEARER_TRUSTED_PROXIES: ["trustedProxies", (text) => text.split(",").map((one) => one.trim())],
};

/**
 * Reads the configuration of the service. Without a file, secrets begin with `key_` and there are only the scopes of the
 * service.
 *
 * @throws CommandError that names the file with the line, the variable or the option of each mistake.
 */
export async function loadSettings(
  path: string | undefined,
  flags: SettingFlags,
  env: NodeJS.ProcessEnv,
): Promise<{ readonly config: Config; readonly settings: Settings }> {
  const files = path === undefined ? findConfigFiles() : [path];
  if (files.length > 1) throw usageError(`Both ${files.join(" and ")} exist. Choose one with --config`);
  const file = files[0];
  const { content, text } =
    file === undefined ? { content: { prefix: "key", scopes: {} } } : await readContent(file);
  const label = escapeText(file ?? "the default configuration");
  // A file without the member still gets the scopes of the service.
  const withSection = isObject(content) ? { ...content, serve: content.serve ?? {} } : content;
  const config = readConfig(label, withSection, env);
  if (!config.scopes.isGrantable("keybearer:admin")) {
    throw usageError(`${label}: "scopes" must define keybearer:admin; list scopes in the file instead`);
  }

  const sources = new Map<string, string>();
  const section: Record<string, unknown> = isObject(config.serve) ? { ...config.serve } : {};
  if (!isObject(config.serve)) throw usageError(`${label}: "serve" must be an object`);
  for (const [variable, [member, read]] of Object.entries(VARIABLES)) {
    const value = env[variable];
    if (value === undefined || value === "") continue;
    section[member] = read(value);
    sources.set(member, variable);
  }
  for (const [member, value] of Object.entries(flags)) {
    if (value === undefined) continue;
    section[member] = member === "host" ? value : Number(value);
    sources.set(member, `--${member}`);
  }
  const parsed = schema.safeParse(section);
  if (parsed.success) return { config, settings: parsed.data };
  const problems = parsed.error.issues.map((issue) => {
    const source = sources.get(String(issue.path[0]));
    if (source !== undefined) return `${source} ${problemOf(issue)}`;
    const keys = issue.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [];
    const line = text && jsonLine(text, ["serve", ...issue.path, ...keys]);
    const member = ["serve", ...issue.path].join(".");
    return `${label}${line ? `:${line}` : ""}: "${member}" ${problemOf(issue)}`;
  });
  throw usageError(problems.map(escapeText).join("\n"));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function problemOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "unrecognized_keys":
      return `has an unknown member ${issue.keys.map((key) => `"${key}"`).join(", ")}`;
    case "too_small":
      return `must be at least ${issue.minimum}`;
    case "too_big":
      return `must be at most ${issue.maximum}`;
    case "invalid_type":
      return issue.input === undefined && issue.message.endsWith("undefined")
        ? "is missing"
        : `must be ${/^[aeiou]/.test(issue.expected) ? "an" : "a"} ${issue.expected}`;
    default:
      return issue.message;
  }
}
