import type { HttpProblem } from "../http/problem.js";
import { type Awaitable, rejectPromise } from "../internal/awaitable.js";
import type { Duration } from "../internal/duration.js";
import { checkOptions, describe } from "../internal/validate.js";
import {
  type ApiKey,
  type CreateKey,
  KeyNotFoundError,
  type Principal,
  type UpdateKey,
  withStoreTimeout,
} from "../kit.js";
import { type Grant, inherited, judgeGrant, sees, withKey } from "./grants.js";
import { asInput, type Members } from "./input.js";
import { speltPath } from "./naming.js";
import { INPUT, type PreparedOptions } from "./options.js";
import type { Presentation } from "./presenter.js";
import { faulty, problem } from "./problems.js";
import type { RouteName } from "./routes.js";

/** A request that is authenticated and read. */
export interface Call<S extends string> {
  readonly principal: Principal<S>;
  /** The id in the path; `undefined` where it is none that a key can have. */
  readonly id: string | undefined;
  readonly query: Members;
  readonly body: Members;
}

/** What a request is answered with. */
export interface Answer {
  readonly body: object;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a route does. */
export type Operation<S extends string> = (call: Call<S>) => Promise<Answer>;

/** RFC 6750, 3: a 401 has a challenge. */
const INVALID = { headers: { "WWW-Authenticate": 'Bearer error="invalid_token"' } };

/** Makes what the routes do, but the document. */
export function createOperations<S extends string>(
  options: PreparedOptions<S>,
  present: Presentation,
): Readonly<Record<Exclude<RouteName, "openapi">, Operation<S>>> {
  const { manager, defaults, input, pageSize, overlap: usualOverlap } = options;
  const { spell } = present;
  const actorOf = ({ principal }: Call<S>) => checkedActor(options.actor(principal));

  /** The key of a path. That of somebody else is none. */
  const find = async ({ principal, id }: Call<S>): Promise<ApiKey> => {
    const key = id === undefined ? undefined : await manager.get(id);
    if (key === undefined || !sees(principal, key)) throw new KeyNotFoundError();
    return key;
  };

  /**
   * The principal as its verifier knows it, and as the manager does. A verifier may remember a key, or that of a
   * token, for a while after it was changed; what a key brings about is there for longer.
   */
  const asOfNow = async ({ principal }: Call<S>): Promise<readonly Principal<S>[]> => {
    const { key } = principal;
    const latest = key && (await manager.get(key.id));
    // A manager that shows keys under ids of its own does not know this one: its verifier has judged it.
    if (latest === undefined) return [principal];
    if (latest.status !== "active" && latest.status !== "retiring") throw problem("invalid_key", {}, INVALID);
    return [principal, withKey(principal, latest)];
  };

  /**
   * Finds the key and judges what the principal would bring about; what comes of it is judged once more, by the
   * manager, on the version that it changes.
   */
  const findGrantable = async (call: Call<S>, change: Partial<Grant> = {}) => {
    const { principal } = call;
    const principals = await asOfNow(call);
    const check = (key: ApiKey): void => {
      if (!sees(principal, key)) throw new KeyNotFoundError();
      requireGrant(principals, { ...key, ...change });
    };
    const key = await find(call);
    check(key);
    return { id: key.id, check, actor: actorOf(call) };
  };

  const requireGrant = (principals: readonly Principal<S>[], grant: Grant): void => {
    for (const principal of principals) {
      const refusal = refusalOf(principal, grant);
      if (refusal !== undefined) throw refusal;
    }
  };

  const refusalOf = (principal: Principal<S>, grant: Grant): HttpProblem | undefined => {
    const verdict = judgeGrant(principal as Principal, grant);
    if (verdict.granted) return undefined;
    if (verdict.because === "exceeds_own_key") {
      const errors = verdict.faults.map(({ path, message }) => ({ path: speltPath(path, spell), message }));
      return problem("exceeds_own_key", { errors });
    }
    const { requiredScopes, grantedScopes, missingScopes } = verdict;
    return problem(
      "insufficient_scope",
      { requiredScopes, grantedScopes, missingScopes },
      { message: "Nobody can grant scopes that they do not hold." },
    );
  };

  const located = (key: ApiKey) => ({
    Location: `${options.basePath}${options.paths.keys}/${encodeURIComponent(key.id)}`,
  });

  return {
    async list({ principal, query }) {
      const { ownerId, environment } = principal;
      if (environment !== undefined && query.environment !== undefined && query.environment !== environment) {
        return { body: present.list({ items: [] }) };
      }
      const page = await asInput("query", ["status", "environment", "cursor", "limit"], spell, () =>
        manager.list({
          limit: pageSize,
          ...query,
          ownerId,
          ...(environment !== undefined && { environment }),
        }),
      );
      return { body: present.list(page) };
    },

    async create(call) {
      const { principal, body } = call;
      const said = defaults ? await answerOf(() => defaults(principal)) : {};
      const given = checkOptions("defaults", said, INPUT.create);
      const principals = await asOfNow(call); // behind the defaults, which take their time
      const members = { ...inherited(principal as Principal), ...given, ...body };
      const key = { ...members, ownerId: principal.ownerId } as CreateKey<S>;
      requireGrant(principals, grantOf(key));
      // What the host set wrongly is no error of the client.
      const names = input.create.filter((name) => !(name in given) || name in body);
      const issued = await asInput("body", names, spell, () => manager.create(key, actorOf(call)));
      return { body: present.created(issued), headers: located(issued.key) };
    },

    async get(call) {
      return { body: present.updated(await find(call)) };
    },

    async update(call) {
      const body = call.body as UpdateKey;
      const { id, check, actor } = await findGrantable(call, body);
      const key = await asInput("body", input.update, spell, () =>
        manager.update(id, body, { check, actor }),
      );
      return { body: present.updated(key) };
    },

    async revoke(call) {
      const where = "reason" in call.query ? "query" : "body";
      if (where === "query" && "reason" in call.body) {
        throw faulty(where, [{ path: spell("reason"), message: "is in the body too" }]);
      }
      await asOfNow(call);
      const { id } = await find(call);
      const given = { ...call.query, ...call.body } as { reason?: string };
      const key = await asInput(where, ["reason"], spell, () =>
        manager.revoke(id, { ...given, actor: actorOf(call) }),
      );
      return { body: present.revoked(key) };
    },

    async rotate(call) {
      const { overlap = usualOverlap, environment } = call.body as {
        overlap?: Duration;
        environment?: string;
      };
      const options = { overlap, ...(environment !== undefined && { environment }) };
      const { id, check, actor } = await findGrantable(call);
      const issued = await asInput("body", input.rotate, spell, () =>
        manager.rotate(id, { ...options, check, actor }),
      );
      return { body: present.rotated(issued), headers: located(issued.key) };
    },

    async disable(call) {
      await asOfNow(call);
      const { id } = await find(call);
      return { body: present.updated(await manager.disable(id, { actor: actorOf(call) })) };
    },

    async enable(call) {
      const { id, check, actor } = await findGrantable(call);
      return { body: present.updated(await manager.enable(id, { check, actor })) };
    },

    async audit(call) {
      const { id, ownerId } = await find(call);
      const page = await asInput("query", ["cursor", "limit"], spell, () =>
        manager.auditTrail({ limit: pageSize, ...call.query, keyId: id, ownerId }),
      );
      return { body: present.audit(page) };
    },

    async me({ principal: { key } }) {
      if (key === undefined) throw problem("not_an_api_key");
      return { body: present.me(key) };
    },
  };
}

// As long as a manager waits for its store.
const DEFAULTS_MS = 10_000;

/** Waits for the host's own defaults, but not for ever. What they fail with, to refuse as a rule, stays what it is. */
async function answerOf<T>(defaults: () => Awaitable<T>): Promise<T> {
  const outcome = Promise.allSettled([defaults()]);
  const [settled] = await withStoreTimeout(outcome, DEFAULTS_MS, 'The function "defaults"');
  if (settled.status === "rejected") throw settled.reason;
  return settled.value as T;
}

function grantOf({ scopes = [], environment, ipAllowlist, expiresAt, rateLimit }: CreateKey): Grant {
  return { scopes, environment, ipAllowlist, expiresAt, rateLimit };
}

/** What is no text would be written down as nobody. */
function checkedActor(actor: unknown): string {
  rejectPromise('createManagementApi: "actor"', actor);
  if (typeof actor === "string") return actor;
  throw new TypeError(`createManagementApi: "actor" must answer a text, got ${describe(actor)}`);
}
