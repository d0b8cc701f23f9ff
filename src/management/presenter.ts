import type * as z from "zod";
import { rejectPromise } from "../internal/awaitable.js";
import { checkFunction, checkOptions, describe } from "../internal/validate.js";
import type { ApiKey, AuditEntry, IssuedKey, Page } from "../kit.js";
import { PROBLEMS, type Problem } from "./error-codes.js";
import { errorSchema, issuedSchema, pageSchema, resourceSchemas } from "./response-schemas.js";
import { serializeAuditEntry, serializeKey, serializeMe } from "./serializers.js";
import { createWireNames, type Naming, renameMembers, type ToWireName } from "./wire-names.js";

/** The body that is sent without a presenter function. */
export type DefaultBody = Readonly<Record<string, unknown>>;

/** The response to an error. */
export interface ErrorResponse {
  /** From 400 to 599; by default that of the problem. */
  readonly status?: number;
  readonly body: object;
}

/** The presenter's functions. */
export type PresenterFunction =
  | "key"
  | "me"
  | "created"
  | "rotated"
  | "list"
  | "audit"
  | "updated"
  | "revoked"
  | "error";

/**
 * Formats responses. Every member is optional. A function receives the result of the operation and the default body,
 * with the names of `naming`, and returns the body to send.
 *
 * @example
 * const presenter: Presenter = {
 *   naming: "snake_case",
 *   created: ({ secret }, { key }) => ({ success: true, api_key: { ...(key as object), key: secret } }),
 *   error: ({ code, message }) => ({ body: { success: false, error: { code: code.toUpperCase(), message } } }),
 * };
 */
export interface Presenter {
  /** The names of members in bodies, of query parameters, and in the paths of errors; `"camelCase"` by default. */
  readonly naming?: Naming;
  /** A key, in every response but that of `GET /me`. */
  readonly key?: (key: ApiKey, defaultBody: DefaultBody) => object;
  /** The body of `GET /me`. */
  readonly me?: (key: ApiKey, defaultBody: DefaultBody) => object;
  /** The body of a creation, with the secret; `{ secret, key }` by default. */
  readonly created?: (issued: IssuedKey, defaultBody: DefaultBody) => object;
  /** The body of a rotation; by default that of a creation. */
  readonly rotated?: (issued: IssuedKey, defaultBody: DefaultBody) => object;
  /** The body of a list; `{ items, nextCursor, damaged }` by default. */
  readonly list?: (page: Page<ApiKey>, defaultBody: DefaultBody) => object;
  /** The body of an audit trail; `{ items, nextCursor, damaged }` by default. */
  readonly audit?: (page: Page<AuditEntry>, defaultBody: DefaultBody) => object;
  /** The body of get, update, disable and enable; the key by default. */
  readonly updated?: (key: ApiKey, defaultBody: DefaultBody) => object;
  /** The body of a revocation; the key by default. */
  readonly revoked?: (key: ApiKey, defaultBody: DefaultBody) => object;
  /** Every error, including those of verifiers. Headers stay. If it throws, the default body is sent. */
  readonly error?: (problem: Problem, defaultBody: DefaultBody) => ErrorResponse;
  /** Schemas of the results, for the OpenAPI document; `{ type: "object" }` by default. */
  readonly schemas?: Readonly<Partial<Record<PresenterFunction, z.ZodType>>>;
}

const FUNCTIONS = [
  "key",
  "me",
  "created",
  "rotated",
  "list",
  "audit",
  "updated",
  "revoked",
  "error",
] as const satisfies readonly PresenterFunction[];

/** A presenter with all defaults. */
export interface PreparedPresenter {
  readonly wireName: ToWireName;
  readonly me: (key: ApiKey) => object;
  readonly created: (issued: IssuedKey) => object;
  readonly rotated: (issued: IssuedKey) => object;
  readonly list: (page: Page<ApiKey>) => object;
  readonly audit: (page: Page<AuditEntry>) => object;
  readonly updated: (key: ApiKey) => object;
  readonly revoked: (key: ApiKey) => object;
  /** @throws what the host's function throws. */
  readonly error: (problem: Problem) => Required<ErrorResponse>;
  /** Does not call the host's function. */
  readonly defaultError: (problem: Problem) => Required<ErrorResponse>;
  /** `undefined` if the host formats the body and has no schema for it. */
  readonly schemaOf: (name: PresenterFunction) => z.ZodType | undefined;
}

/** @throws TypeError if a member is unknown or invalid. */
export function preparePresenter(where: string, given: Presenter = {}): PreparedPresenter {
  const presenter = checkOptions(`${where}: "presenter"`, given, ["naming", "schemas", ...FUNCTIONS]);
  for (const name of FUNCTIONS) checkFunction(`${where}: "presenter"`, name, presenter[name]);
  checkSchemas(where, presenter.schemas);
  const wireName = createWireNames(where, presenter.naming);

  const key = withDefault("key", presenter.key, (apiKey: ApiKey) => serializeKey(apiKey, wireName));
  const issued = (issuedKey: IssuedKey) =>
    renameMembers({ secret: issuedKey.secret, key: key(issuedKey.key) }, wireName);
  const created = withDefault("created", presenter.created, issued);
  const page = <T>({ items, nextCursor, damaged }: Page<T>, serialize: (item: T) => object) => {
    const next = {
      ...(nextCursor !== undefined && { nextCursor }),
      ...(damaged !== undefined && { damaged }),
    };
    return renameMembers({ items: items.map(serialize), ...next }, wireName);
  };
  const defaultError = ({ status, code, message, requestId, details }: Problem) => {
    const errors = Array.isArray(details.errors)
      ? { errors: details.errors.map((issue) => renameMembers(issue, wireName)) }
      : {};
    const members = { message, code, requestId };
    // `members` again at the end, so that details cannot replace them.
    return { status, body: renameMembers({ ...members, ...details, ...errors, ...members }, wireName) };
  };

  return {
    wireName,
    me: withDefault("me", presenter.me, (apiKey: ApiKey) => serializeMe(apiKey, wireName)),
    created,
    rotated: presenter.rotated ? withDefault("rotated", presenter.rotated, issued) : created,
    list: withDefault("list", presenter.list, (keys: Page<ApiKey>) => page(keys, key)),
    audit: withDefault("audit", presenter.audit, (entries: Page<AuditEntry>) =>
      page(entries, (entry) => serializeAuditEntry(entry, wireName)),
    ),
    updated: withDefault("updated", presenter.updated, key),
    revoked: withDefault("revoked", presenter.revoked, key),
    defaultError,
    error: (problem) => {
      const response = defaultError(problem);
      if (presenter.error === undefined) return response;
      const result = presenter.error(problem, response.body);
      rejectPromise(`${where}: presenter.error`, result);
      const { status = problem.status, body } = result ?? {};
      if (!Number.isInteger(status) || status < 400 || status > 599) {
        throw new TypeError(`${where}: "status" of presenter.error must be an integer from 400 to 599`);
      }
      return { status, body: checkBody("error", body) };
    },
    schemaOf: responseSchemas(presenter, wireName),
  };

  function withDefault<T>(
    name: PresenterFunction,
    format: ((value: T, defaultBody: DefaultBody) => object) | undefined,
    serialize: (value: T) => object,
  ): (value: T) => object {
    if (format === undefined) return serialize;
    return (value) => checkBody(name, format(value, serialize(value) as DefaultBody));
  }

  function checkBody(name: PresenterFunction, body: unknown): object {
    rejectPromise(`${where}: presenter.${name}`, body);
    if (typeof body === "object" && body !== null) return body;
    throw new TypeError(`${where}: presenter.${name} must return an object; received ${describe(body)}`);
  }
}

function checkSchemas(where: string, schemas: Presenter["schemas"] = {}): void {
  for (const [name, schema] of Object.entries(checkOptions(`${where}: "schemas"`, schemas, FUNCTIONS))) {
    if (typeof schema !== "object" || !("_zod" in schema)) {
      throw new TypeError(`${where}: "schemas.${name}" must be a schema of zod 4`);
    }
  }
}

/** Returns the host's schema of a body, or the default one if the host does not format that body. */
function responseSchemas(presenter: Presenter, wireName: ToWireName): PreparedPresenter["schemaOf"] {
  const resources = resourceSchemas(wireName);
  const schemaOf = (name: PresenterFunction): z.ZodType | undefined => {
    const own = presenter.schemas?.[name];
    if (own !== undefined) return own;
    return presenter[name] === undefined ? defaultSchema(name) : undefined;
  };
  const defaultSchema = (name: PresenterFunction): z.ZodType | undefined => {
    if (name === "key" || name === "me") return resources[name];
    if (name === "rotated") return schemaOf("created");
    if (name === "audit") return pageSchema(resources.auditEntry, wireName);
    if (name === "error") return errorSchema(Object.keys(PROBLEMS), wireName);
    const key = schemaOf("key");
    if (key === undefined) return undefined;
    if (name === "list") return pageSchema(key, wireName);
    return name === "created" ? issuedSchema(key, wireName) : key;
  };
  return schemaOf;
}
