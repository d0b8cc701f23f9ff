import { createHash } from "node:crypto";
import type { Awaitable } from "../internal/awaitable.js";
import { type Duration, readDuration } from "../internal/duration.js";
import {
  checkBoolean,
  checkFunction,
  checkMethods,
  checkOptions,
  readInteger,
  rejectUndefined,
} from "../internal/validate.js";
import type {
  CreateKey,
  GuardErrorContext,
  KeyManager,
  Principal,
  Requirement,
  UpdateKey,
  Verifier,
} from "../kit.js";
import { createIdempotency, type Idempotency, type IdempotencyOptions } from "./idempotency.js";
import { type OpenApiOptions, prepareOpenApi } from "./openapi-options.js";
import type { Presenter } from "./presenter.js";
import { ROUTES, type RouteName, type RoutePaths } from "./routes.js";

/** A member of the body of `create`. The owner is always that of the principal. */
export type CreateMember = Exclude<keyof CreateKey, "ownerId">;

/** A member of the body of `update`. */
export type UpdateMember = keyof UpdateKey;

/** A member of the body of `rotate`. */
export type RotateMember = "overlap" | "environment";

/** Default members of a new key. */
export type CreateDefaults<S extends string = string> = Partial<Pick<CreateKey<S>, CreateMember>>;

/** Options of {@link createManagementApi}. */
export interface ManagementOptions<S extends string = string> {
  /** Creates and changes the keys. */
  readonly keys: KeyManager<S>;
  /** Verifies requests: of users with a JWT, of API keys, or both with `anyVerifier`. */
  readonly verifier: Verifier<NoInfer<S>>;
  /** Verifies requests for `GET /me`; `verifier` by default. */
  readonly keyVerifier?: Verifier<NoInfer<S>>;
  /**
   * The scopes needed to read and to change keys. Without a requirement, API keys and tokens made from them are denied,
   * and any other valid credential is allowed.
   */
  readonly requires?: { readonly read?: Requirement<NoInfer<S>>; readonly write?: Requirement<NoInfer<S>> };
  /**
   * Whether tokens made from API keys may create, change, rotate and enable keys, if they meet `requires`. What such a
   * token makes expires with the token at the latest. `false` by default.
   */
  readonly tokensMayGrant?: boolean;
  /** The beginning of every path as clients see it, such as `"/api/v2"`; `""` by default. */
  readonly basePath?: string;
  /** The paths of the routes, below `basePath`. */
  readonly paths?: RoutePaths;
  /** The routes to serve; all by default. */
  readonly routes?: readonly RouteName[];
  /** The members that bodies may have; all by default. */
  readonly input?: {
    readonly create?: readonly CreateMember[];
    readonly update?: readonly UpdateMember[];
    readonly rotate?: readonly RotateMember[];
  };
  /**
   * Returns the members of a new key that the body does not set. They are checked like those of the body: the principal
   * must be allowed to grant them. Throw an {@link HttpProblem} to deny the request. After 10 seconds the response is a
   * 503.
   */
  readonly defaults?: (principal: Principal<S>) => Awaitable<CreateDefaults<NoInfer<S>>>;
  /** Formats responses. */
  readonly presenter?: Presenter;
  /**
   * Returns the actor for the audit trail. By default the id of the key, also for a token made from it, and `jwt:<id>` for
   * any other token, so that its subject cannot pass for a key; `jwt-sha256:<hash>` for a subject of more than 251
   * characters. A function of your own must distinguish them too.
   */
  readonly actor?: (principal: Principal<S>) => string;
  /**
   * How long a rotated key still works if the body does not say; `"10m"` by default, so that a lost response does not
   * cost the client its access.
   */
  readonly overlap?: Duration;
  /**
   * Where the responses to requests with an `Idempotency-Key` are kept for 24 hours, encrypted: a store that all processes
   * share, or `"per-process"` for the memory of this one. Without the option it is the memory too, and the first such
   * request is the process warning `KEYBEARER_LOCAL_IDEMPOTENCY`.
   */
  readonly idempotency?: "per-process" | IdempotencyOptions;
  /** The number of items on a page if the query does not say: 1 to 1000; 50 by default. */
  readonly pageSize?: number;
  /**
   * Called with every error whose response is a 500 or 503. By default, the first one is a process warning,
   * `KEYBEARER_MANAGEMENT_ERROR`.
   */
  readonly onError?: (error: unknown, context: GuardErrorContext) => unknown;
  /** The `info`, `servers`, `tags` and `securitySchemes` of the OpenAPI document. */
  readonly openapi?: OpenApiOptions;
}

// The limit of a manager.
const MAX_ACTOR_LENGTH = 255;

const WHERE = "createManagementApi";
const OPTIONS: readonly (keyof ManagementOptions)[] = [
  "keys",
  "verifier",
  "keyVerifier",
  "requires",
  "tokensMayGrant",
  "basePath",
  "paths",
  "routes",
  "input",
  "defaults",
  "presenter",
  "actor",
  "overlap",
  "idempotency",
  "pageSize",
  "onError",
  "openapi",
];
const MANAGER_METHODS = [
  "create",
  "get",
  "list",
  "update",
  "disable",
  "enable",
  "revoke",
  "rotate",
  "auditTrail",
];
const VERIFIER_METHODS = ["verify", "assertRequirement"];

/** Every member that a body may have. */
export const BODY_MEMBERS: {
  readonly create: readonly CreateMember[];
  readonly update: readonly UpdateMember[];
  readonly rotate: readonly RotateMember[];
} = {
  create: ["name", "scopes", "environment", "ipAllowlist", "expiresAt", "metadata", "rateLimit"],
  update: ["name", "ipAllowlist", "expiresAt", "metadata", "rateLimit"],
  rotate: ["overlap", "environment"],
};

/** Validated options with all defaults. */
export interface PreparedOptions<S extends string>
  extends Omit<ManagementOptions<S>, "presenter" | "onError" | "routes" | "input" | "paths" | "idempotency"> {
  readonly keyVerifier: Verifier<S>;
  readonly requires: NonNullable<ManagementOptions<S>["requires"]>;
  readonly basePath: string;
  readonly paths: Required<RoutePaths>;
  readonly routes: ReadonlySet<RouteName>;
  readonly input: typeof BODY_MEMBERS;
  readonly actor: (principal: Principal<S>) => string;
  readonly overlap: Duration;
  readonly idempotency: Idempotency<S>;
  readonly pageSize: number;
  readonly openapi: OpenApiOptions;
}

/** @throws TypeError if an option is unknown, missing or invalid; the message names the option. */
export function prepareOptions<S extends string>(given: ManagementOptions<S>): PreparedOptions<S> {
  const options = checkOptions(WHERE, given, OPTIONS);
  for (const name of [
    "requires",
    "routes",
    "input",
    "keyVerifier",
    "defaults",
    "idempotency",
    "openapi",
  ] as const) {
    rejectUndefined(WHERE, options, name);
  }
  const { keys, verifier, keyVerifier = verifier, basePath = "", overlap = "10m", pageSize = 50 } = options;
  checkMethods(WHERE, "keys", keys, MANAGER_METHODS);
  checkMethods(WHERE, "keys.scopes", keys.scopes, ["get", "isGrantable", "holds"]);
  checkMethods(WHERE, "verifier", verifier, VERIFIER_METHODS);
  checkMethods(WHERE, "keyVerifier", keyVerifier, VERIFIER_METHODS);
  for (const name of ["defaults", "actor", "onError"] as const) checkFunction(WHERE, name, options[name]);
  checkBoolean(WHERE, "tokensMayGrant", options.tokensMayGrant);
  const requires = checkOptions(`${WHERE}: "requires"`, options.requires ?? {}, ["read", "write"]);
  for (const name of ["read", "write"] as const) rejectUndefined(`${WHERE}: "requires"`, requires, name);
  readDuration(WHERE, "overlap", overlap, { min: "0s", max: "36500d" });
  const routeNames = ROUTES.map(({ name }) => name);
  return {
    ...options,
    keyVerifier,
    requires,
    basePath: basePath === "" ? "" : readPath("basePath", basePath),
    paths: readPaths(options.paths),
    routes: new Set(readNames("routes", options.routes, routeNames)),
    input: readInput(options.input),
    actor: options.actor ?? defaultActor,
    overlap,
    idempotency: createIdempotency(WHERE, options.idempotency),
    pageSize: readInteger(WHERE, "pageSize", pageSize, 1, 1_000),
    openapi: prepareOpenApi(WHERE, options.openapi),
  };
}

function defaultActor({ type, id, key }: Principal): string {
  if (type === "api_key" || key?.id === id) return id;
  const actor = `jwt:${id}`;
  if (actor.length <= MAX_ACTOR_LENGTH) return actor;
  // The prefix differs, so that no subject can contain the hash of another one.
  return `jwt-sha256:${createHash("sha256").update(id).digest("hex")}`;
}

function readInput(given: ManagementOptions["input"]): typeof BODY_MEMBERS {
  const input = checkOptions(`${WHERE}: "input"`, given ?? {}, Object.keys(BODY_MEMBERS));
  for (const name of Object.keys(input) as (keyof typeof input)[]) {
    rejectUndefined(`${WHERE}: "input"`, input, name);
  }
  return {
    create: readNames("input.create", input.create, BODY_MEMBERS.create, true),
    update: readNames("input.update", input.update, BODY_MEMBERS.update, true),
    rotate: readNames("input.rotate", input.rotate, BODY_MEMBERS.rotate, true),
  };
}

function readNames<T extends string>(
  option: string,
  given: readonly T[] | undefined,
  known: readonly T[],
  mayBeEmpty = false,
): readonly T[] {
  const names = given ?? known;
  if (!Array.isArray(names)) throw new TypeError(`${WHERE}: "${option}" must be an array`);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined || (names.length === 0 && !mayBeEmpty)) {
    const problem = names.length === 0 ? "is empty" : `contains ${JSON.stringify(unknown)}`;
    throw new TypeError(`${WHERE}: "${option}" ${problem}; known names are ${known.join(", ")}`);
  }
  return [...names];
}

function readPaths(given: RoutePaths | undefined): Required<RoutePaths> {
  const defaults = { keys: "/api-keys", me: "/me", openapi: "/openapi.json" };
  const paths = checkOptions(`${WHERE}: "paths"`, given ?? {}, Object.keys(defaults));
  const read = (name: keyof RoutePaths) => readPath(`paths.${name}`, paths[name] ?? defaults[name]);
  const result = { keys: read("keys"), me: read("me"), openapi: read("openapi") };
  const areDistinct = new Set(Object.values(result)).size === 3;
  const isBelowKeys = [result.me, result.openapi].some((path) => path.startsWith(`${result.keys}/`));
  if (!areDistinct || isBelowKeys) {
    throw new TypeError(`${WHERE}: "paths" must be distinct, and none may be below "paths.keys"`);
  }
  return result;
}

/** Allows only characters that no URL parser rewrites, because paths are compared as received. */
function readPath(option: string, path: unknown): string {
  if (typeof path === "string" && /^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$/.test(path)) return path;
  throw new TypeError(
    `${WHERE}: "${option}" must begin with "/", not end with "/", and consist of letters, digits and ._~-`,
  );
}
