import type * as z from "zod";
import { rejectPromise } from "../internal/awaitable.js";
import { checkFunction, checkOptions } from "../internal/validate.js";
import type { ApiKey, AuditEntry, IssuedKey, Page } from "../kit.js";
import { type Naming, type Spell, speller, spelt } from "./naming.js";
import { PROBLEMS, type Problem } from "./problems.js";
import { auditView, errorSchema, issuedSchema, keyView, meView, pageSchema, viewSchemas } from "./views.js";

/** The members of a body, as they would be sent without a presenter. */
export type UsualBody = Readonly<Record<string, unknown>>;

/** What an error is answered with. */
export interface ErrorAnswer {
  /** 400 to 599; that of the problem by default. */
  readonly status?: number;
  readonly body: object;
}

/** What a presenter words. */
export type PresentedName =
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
 * The wire style. Every member may be left out. Each function is given what happened, and the body that would be
 * sent without it, in the naming of this presenter.
 *
 * @example
 * const presenter: Presenter = {
 *   naming: "snake_case",
 *   created: ({ secret }, { key }) => ({ success: true, api_key: { ...(key as object), key: secret } }),
 *   error: ({ code, message }) => ({ body: { success: false, error: { code: code.toUpperCase(), message } } }),
 * };
 */
export interface Presenter {
  /** Of members in bodies, of query parameters, and in the paths of errors; `"camelCase"` by default. */
  readonly naming?: Naming;
  /** A key, wherever one is shown but at `/me`. */
  readonly key?: (key: ApiKey, usual: UsualBody) => object;
  /** The body of `GET /me`. */
  readonly me?: (key: ApiKey, usual: UsualBody) => object;
  /** The body of a creation, with the secret; `{ secret, key }` by default. */
  readonly created?: (issued: IssuedKey, usual: UsualBody) => object;
  /** The body of a rotation; as of a creation by default. */
  readonly rotated?: (issued: IssuedKey, usual: UsualBody) => object;
  /** The body of a list; `{ items, nextCursor }` by default. */
  readonly list?: (page: Page<ApiKey>, usual: UsualBody) => object;
  /** The body of an audit trail; `{ items, nextCursor }` by default. */
  readonly audit?: (page: Page<AuditEntry>, usual: UsualBody) => object;
  /** The body of one key: that of get, update, disable and enable; the key by default. */
  readonly updated?: (key: ApiKey, usual: UsualBody) => object;
  /** The body of a revocation; the key by default. */
  readonly revoked?: (key: ApiKey, usual: UsualBody) => object;
  /** Every error, those of verifiers too. Headers stay. When it fails, the usual body is sent. */
  readonly error?: (problem: Problem, usual: UsualBody) => ErrorAnswer;
  /** What the functions answer, for the OpenAPI document. Without one it says: an object. */
  readonly schemas?: Readonly<Partial<Record<PresentedName, z.ZodType>>>;
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
] as const satisfies readonly PresentedName[];

/** A presenter with everything in it. */
export interface Presentation {
  readonly spell: Spell;
  readonly me: (key: ApiKey) => object;
  readonly created: (issued: IssuedKey) => object;
  readonly rotated: (issued: IssuedKey) => object;
  readonly list: (page: Page<ApiKey>) => object;
  readonly audit: (page: Page<AuditEntry>) => object;
  readonly updated: (key: ApiKey) => object;
  readonly revoked: (key: ApiKey) => object;
  /** @throws whatever the host's function throws. */
  readonly error: (problem: Problem) => Required<ErrorAnswer>;
  /** Without the host's function. */
  readonly usualError: (problem: Problem) => Required<ErrorAnswer>;
  /** What each answers; `undefined` when nobody has said. */
  readonly schemaOf: (name: PresentedName) => z.ZodType | undefined;
}

/** @throws TypeError for members that are unknown or no functions. */
export function preparePresenter(where: string, given: Presenter = {}): Presentation {
  const presenter = checkOptions(`${where}: "presenter"`, given, ["naming", "schemas", ...FUNCTIONS]);
  for (const name of FUNCTIONS) checkFunction(`${where}: "presenter"`, name, presenter[name]);
  checkSchemas(where, presenter.schemas);
  const spell = speller(where, presenter.naming);

  const key = worded("key", presenter.key, (one: ApiKey) => keyView(one, spell));
  const issued = ({ secret, key: one }: IssuedKey) => spelt({ secret, key: key(one) }, spell);
  const created = worded("created", presenter.created, issued);
  const pageOf = <T>({ items, nextCursor }: Page<T>, show: (item: T) => object) =>
    spelt({ items: items.map(show), ...(nextCursor !== undefined && { nextCursor }) }, spell);
  const usualError = ({ status, code, message, requestId, details }: Problem) => {
    const errors = Array.isArray(details.errors)
      ? { errors: details.errors.map((fault) => spelt(fault, spell)) }
      : {};
    const members = { message, code, requestId };
    return { status, body: spelt({ ...members, ...details, ...errors, ...members }, spell) }; // details replace nothing
  };

  return {
    spell,
    me: worded("me", presenter.me, (one: ApiKey) => meView(one, spell)),
    created,
    rotated: presenter.rotated ? worded("rotated", presenter.rotated, issued) : created,
    list: worded("list", presenter.list, (page: Page<ApiKey>) => pageOf(page, key)),
    audit: worded("audit", presenter.audit, (page: Page<AuditEntry>) =>
      pageOf(page, (entry) => auditView(entry, spell)),
    ),
    updated: worded("updated", presenter.updated, key),
    revoked: worded("revoked", presenter.revoked, key),
    usualError,
    error: (problem) => {
      const usual = usualError(problem);
      if (presenter.error === undefined) return usual;
      const answer = presenter.error(problem, usual.body);
      rejectPromise(`${where}: presenter.error`, answer);
      const { status = problem.status, body } = answer ?? {};
      if (!Number.isInteger(status) || status < 400 || status > 599) {
        throw new TypeError(`${where}: "status" of presenter.error must be from 400 to 599`);
      }
      return { status, body: checkedBody("error", body) };
    },
    schemaOf: schemasOf(presenter, spell),
  };

  function worded<T>(
    name: PresentedName,
    words: ((value: T, usual: UsualBody) => object) | undefined,
    usual: (value: T) => object,
  ): (value: T) => object {
    if (words === undefined) return usual;
    return (value) => checkedBody(name, words(value, usual(value) as UsualBody));
  }

  function checkedBody(name: PresentedName, body: unknown): object {
    rejectPromise(`${where}: presenter.${name}`, body);
    if (typeof body === "object" && body !== null) return body;
    throw new TypeError(`${where}: presenter.${name} must answer an object`);
  }
}

function checkSchemas(where: string, schemas: Presenter["schemas"] = {}): void {
  for (const [name, schema] of Object.entries(checkOptions(`${where}: "schemas"`, schemas, FUNCTIONS))) {
    if (typeof schema !== "object" || !("_zod" in schema)) {
      throw new TypeError(`${where}: "schemas.${name}" must be a schema of zod 4`);
    }
  }
}

/** The host's schema; else that of the usual body, unless the host words it. */
function schemasOf(presenter: Presenter, spell: Spell): Presentation["schemaOf"] {
  const views = viewSchemas(spell);
  const schemaOf = (name: PresentedName): z.ZodType | undefined => {
    const own = presenter.schemas?.[name];
    if (own !== undefined) return own;
    return presenter[name] === undefined ? usual(name) : undefined;
  };
  const usual = (name: PresentedName): z.ZodType | undefined => {
    const key = name === "key" ? views.key : name === "me" ? views.me : undefined;
    if (key !== undefined) return key;
    if (name === "rotated") return schemaOf("created");
    if (name === "audit") return pageSchema(views.entry, spell);
    if (name === "error") return errorSchema(Object.keys(PROBLEMS), spell);
    const shown = schemaOf("key");
    if (shown === undefined) return undefined;
    if (name === "list") return pageSchema(shown, spell);
    return name === "created" ? issuedSchema(shown, spell) : shown;
  };
  return schemaOf;
}
