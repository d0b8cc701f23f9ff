import type { Awaitable } from "../internal/awaitable.js";
import { type Duration, parseDuration } from "../internal/duration.js";
import { checkFunction, checkMethods, checkOptions, rejectUndefined } from "../internal/validate.js";
import type {
  CreateKey,
  GuardErrorContext,
  KeyManager,
  Principal,
  Requirement,
  UpdateKey,
  Verifier,
} from "../kit.js";
import type { Presenter } from "./presenter.js";
import { ROUTES, type RouteName, type RoutePaths } from "./routes.js";

/** A member that the body of a new key may have. The owner is none of them: it is that of the principal. */
export type CreateMember = Exclude<keyof CreateKey, "ownerId">;

/** A member that the body of a change may have. */
export type UpdateMember = keyof UpdateKey;

/** A member that the body of a rotation may have. */
export type RotateMember = "overlap" | "environment";

/** Members of a new key. */
export type CreateDefaults<S extends string = string> = Partial<Pick<CreateKey<S>, CreateMember>>;

/** Options of {@link createManagementApi}. */
export interface ManagementOptions<S extends string = string> {
  readonly manager: KeyManager<S>;
  /** Who may manage keys: the people behind a JWT, keys with a scope that says so, or both. */
  readonly verifier: Verifier<NoInfer<S>>;
  /** Who is shown at `GET /me`; `verifier` by default. */
  readonly keyVerifier?: Verifier<NoInfer<S>>;
  /**
   * What a principal needs to read and to change keys. Without a requirement an API key, or a token that was
   * made of one, is refused; any other principal is let through.
   */
  readonly requires?: { readonly read?: Requirement<NoInfer<S>>; readonly write?: Requirement<NoInfer<S>> };
  /** What the paths begin with, as the client sees them: `""`, or such as `"/api/v2"`. */
  readonly basePath?: string;
  /** Where the routes are, behind the base path. */
  readonly paths?: RoutePaths;
  /** Which routes are served; all by default. */
  readonly routes?: readonly RouteName[];
  /** Which members bodies may have; all by default. */
  readonly input?: {
    readonly create?: readonly CreateMember[];
    readonly update?: readonly UpdateMember[];
    readonly rotate?: readonly RotateMember[];
  };
  /**
   * Members of a new key that the body leaves out. They are granted like the others: nobody gets a key that can
   * do more than its maker. Throw an {@link HttpProblem} to refuse. Without an answer after 10 seconds it is a 503.
   */
  readonly defaults?: (principal: Principal<S>) => Awaitable<CreateDefaults<NoInfer<S>>>;
  /** How it looks on the wire. */
  readonly presenter?: Presenter;
  /** Who did it, for the audit trail: the id of the principal by default. */
  readonly actor?: (principal: Principal<S>) => string;
  /** How long a rotated key works on when the body does not say; `"0s"` by default. */
  readonly overlap?: Duration;
  /** How many items a page has when the query does not say: 1 to 1000, 50 by default. */
  readonly pageSize?: number;
  /** Told what was answered with 503 or 500. Without it, the first such error is a process warning. */
  readonly onError?: (error: unknown, context: GuardErrorContext) => unknown;
  /** What the OpenAPI document says of the service. */
  readonly info?: { readonly title?: string; readonly version?: string; readonly description?: string };
}

const WHERE = "createManagementApi";
const OPTIONS: readonly (keyof ManagementOptions)[] = [
  "manager",
  "verifier",
  "keyVerifier",
  "requires",
  "basePath",
  "paths",
  "routes",
  "input",
  "defaults",
  "presenter",
  "actor",
  "overlap",
  "pageSize",
  "onError",
  "info",
];
const MANAGER = ["create", "get", "list", "update", "disable", "enable", "revoke", "rotate", "auditTrail"];

/** Every member that a body may have. */
export const INPUT: {
  readonly create: readonly CreateMember[];
  readonly update: readonly UpdateMember[];
  readonly rotate: readonly RotateMember[];
} = {
  create: ["name", "scopes", "environment", "ipAllowlist", "expiresAt", "metadata", "rateLimit"],
  update: ["name", "ipAllowlist", "expiresAt", "metadata", "rateLimit"],
  rotate: ["overlap", "environment"],
};

/** The options, checked, and with what they leave out. */
export interface PreparedOptions<S extends string>
  extends Omit<ManagementOptions<S>, "presenter" | "onError" | "routes" | "input" | "paths"> {
  readonly keyVerifier: Verifier<S>;
  readonly requires: NonNullable<ManagementOptions<S>["requires"]>;
  readonly basePath: string;
  readonly paths: Required<RoutePaths>;
  readonly routes: ReadonlySet<RouteName>;
  readonly input: typeof INPUT;
  readonly actor: (principal: Principal<S>) => string;
  readonly overlap: Duration;
  readonly pageSize: number;
  readonly info: NonNullable<ManagementOptions<S>["info"]>;
}

/** @throws TypeError for options that are unknown, missing or cannot work, naming the option. */
export function prepareOptions<S extends string>(given: ManagementOptions<S>): PreparedOptions<S> {
  const options = checkOptions(WHERE, given, OPTIONS);
  for (const name of ["requires", "routes", "input", "keyVerifier", "defaults"] as const) {
    rejectUndefined(WHERE, options, name);
  }
  const { basePath = "", overlap = "0s", pageSize = 50 } = options;
  checkMethods(WHERE, "manager", options.manager, MANAGER);
  checkMethods(WHERE, "manager.scopes", options.manager.scopes, ["get", "isGrantable", "holds"]);
  checkMethods(WHERE, "verifier", options.verifier, ["verify", "assertRequirement"]);
  checkMethods(WHERE, "keyVerifier", options.keyVerifier ?? options.verifier, [
    "verify",
    "assertRequirement",
  ]);
  for (const name of ["defaults", "actor", "onError"] as const) checkFunction(WHERE, name, options[name]);
  const requires = checkOptions(`${WHERE}: "requires"`, options.requires ?? {}, ["read", "write"]);
  for (const name of ["read", "write"] as const) rejectUndefined(`${WHERE}: "requires"`, requires, name);
  if (parseDuration(overlap) === undefined) {
    throw new TypeError(`${WHERE}: "overlap" must be a duration such as "24h"`);
  }
  if (!Number.isInteger(pageSize) || pageSize < 1 || pageSize > 1_000) {
    throw new TypeError(`${WHERE}: "pageSize" must be a whole number from 1 to 1000`);
  }
  return {
    ...options,
    keyVerifier: options.keyVerifier ?? options.verifier,
    requires,
    basePath: readPath("basePath", basePath, true),
    paths: readPaths(options.paths),
    routes: new Set(
      readNames(
        "routes",
        options.routes,
        ROUTES.map(({ name }) => name),
      ),
    ),
    input: readInput(options.input),
    actor: options.actor ?? (({ id }) => id),
    overlap,
    pageSize,
    info: checkOptions(`${WHERE}: "info"`, options.info ?? {}, ["title", "version", "description"]),
  };
}

function readInput(given: ManagementOptions["input"]): typeof INPUT {
  const input = checkOptions(`${WHERE}: "input"`, given ?? {}, Object.keys(INPUT));
  for (const name of Object.keys(input) as (keyof typeof input)[]) {
    rejectUndefined(`${WHERE}: "input"`, input, name);
  }
  return {
    create: readNames("input.create", input.create, INPUT.create, true),
    update: readNames("input.update", input.update, INPUT.update, true),
    rotate: readNames("input.rotate", input.rotate, INPUT.rotate, true),
  };
}

function readNames<T extends string>(
  option: string,
  given: readonly T[] | undefined,
  known: readonly T[],
  mayBeEmpty = false,
): readonly T[] {
  const names = given ?? known;
  if (!Array.isArray(names)) throw new TypeError(`${WHERE}: "${option}" must be a list`);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined || (names.length === 0 && !mayBeEmpty)) {
    throw new TypeError(
      `${WHERE}: "${option}" ${names.length === 0 ? "is empty" : `names ${JSON.stringify(unknown)}`}; known are ${known.join(", ")}`,
    );
  }
  return [...names];
}

function readPaths(given: RoutePaths | undefined): Required<RoutePaths> {
  const usual = { keys: "/api-keys", me: "/me", openapi: "/openapi.json" };
  const paths = checkOptions(`${WHERE}: "paths"`, given ?? {}, Object.keys(usual));
  const read = (name: keyof RoutePaths) => readPath(`paths.${name}`, paths[name] ?? usual[name]);
  const all = { keys: read("keys"), me: read("me"), openapi: read("openapi") };
  const apart = new Set(Object.values(all)).size === 3;
  if (!apart || all.me.startsWith(`${all.keys}/`) || all.openapi.startsWith(`${all.keys}/`)) {
    throw new TypeError(`${WHERE}: "paths" must lead to different places, and none to below the keys`);
  }
  return all;
}

/** Characters that no URL rewrites, so that a path is compared as it came. */
function readPath(option: string, path: unknown, mayBeEmpty = false): string {
  const isPath = typeof path === "string" && /^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$/.test(path);
  if (isPath && (mayBeEmpty || path !== "")) return path;
  throw new TypeError(
    `${WHERE}: "${option}" must begin with "/" and not end with it, and be of letters, digits and ._~-`,
  );
}
