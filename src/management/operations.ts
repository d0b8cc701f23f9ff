import type { HttpProblem } from "../http/problem.js";
import { rejectPromise } from "../internal/awaitable.js";
import type { Duration } from "../internal/duration.js";
import { checkOptions, describe } from "../internal/validate.js";
import {
  type ApiKey,
  type BeforeCommitOption,
  type CreateKey,
  type IssuedKey,
  KeyNotFoundError,
  KeyStateError,
  type KeyStatus,
  type Principal,
  type RevokeOptions,
  type UpdateKey,
} from "../kit.js";
import { createProblem, invalidInput } from "./error-codes.js";
import { canSee, checkGrant, type Grant, inheritedMembers, isKeyToken, withKey } from "./grants.js";
import { callHost } from "./host-call.js";
import type { OperationInput, OperationResult, Operations } from "./operation.js";
import { BODY_MEMBERS, type PreparedOptions } from "./options.js";
import type { PreparedPresenter } from "./presenter.js";
import { withInputErrors } from "./request-input.js";
import { toWirePath } from "./wire-names.js";

/** The statuses of a key whose secret may be sent again. */
const REPLAYABLE: readonly KeyStatus[] = ["active", "retiring", "disabled"];

/** The key of the request was revoked, or its owner suspended, after it was verified. A user has no key. */
function rejectEndedCreator({ key }: Pick<Principal, "key">): (error: unknown) => never {
  return (error) => {
    const isEnded = key !== undefined && error instanceof KeyStateError;
    throw isEnded ? createProblem("invalid_key", {}, INVALID_TOKEN) : error;
  };
}

/** RFC 6750, 3: a 401 has a challenge. */
const INVALID_TOKEN = { headers: { "WWW-Authenticate": 'Bearer error="invalid_token"' } };

/** Creates the operations. */
export function createOperations<S extends string>(
  options: PreparedOptions<S>,
  presenter: PreparedPresenter,
): Operations<S> {
  const { keys, defaults, input, pageSize, overlap: defaultOverlap } = options;
  const { wireName } = presenter;
  const actorOf = ({ principal }: OperationInput<S>) => checkActor(options.actor(principal));

  /** Returns the key of a path. A key of another owner is not found. */
  const findKey = async ({ principal, id }: OperationInput<S>): Promise<ApiKey> => {
    const key = id === undefined ? undefined : await keys.get(id);
    if (key === undefined || !canSee(principal, key)) throw new KeyNotFoundError();
    return key;
  };

  /**
   * Returns the principal, and the principal with the current version of its key. The verifier may have used a cached
   * version. A grant lasts longer than the cache, so both versions must allow it.
   */
  const currentPrincipals = async ({ principal }: OperationInput<S>): Promise<readonly Principal<S>[]> => {
    const { key } = principal;
    const current = key && (await keys.get(key.id));
    // If the ids of the manager differ from those of the verifier, only the version of the verifier is known.
    if (current === undefined) return [principal];
    if (current.status !== "active" && current.status !== "retiring") {
      throw createProblem("invalid_key", {}, INVALID_TOKEN);
    }
    return [principal, withKey(principal, current)];
  };

  /** Finds a key and checks the grant. The manager calls `check` again on the version that it changes. */
  const findGrantable = async (operation: OperationInput<S>, change: Partial<Grant> = {}) => {
    const { principal } = operation;
    const principals = await currentPrincipals(operation);
    const check = (key: ApiKey): void => {
      if (!canSee(principal, key)) throw new KeyNotFoundError();
      if (operation.ifMatch !== undefined && operation.ifMatch !== entityTag(key)) {
        throw createProblem("key_changed");
      }
      requireGrant(principals, { ...key, ...change });
    };
    const key = await findKey(operation);
    check(key);
    return { key, id: key.id, check, actor: actorOf(operation), createdByKey: principals[1]?.key?.id };
  };

  const requireGrant = (principals: readonly Principal<S>[], grant: Grant): void => {
    for (const principal of principals) {
      if (!options.tokensMayGrant && isKeyToken(principal as Principal))
        throw createProblem("token_not_allowed");
      const problem = grantProblem(principal, grant);
      if (problem !== undefined) throw problem;
    }
  };

  const grantProblem = (principal: Principal<S>, grant: Grant): HttpProblem | undefined => {
    const decision = checkGrant(principal as Principal, grant);
    if (decision.granted) return undefined;
    if (decision.reason === "exceeds_own_key") {
      const errors = decision.issues.map(({ path, message }) => ({
        path: toWirePath(path, wireName),
        message,
      }));
      return createProblem("exceeds_own_key", { errors });
    }
    const { requiredScopes, grantedScopes, missingScopes } = decision;
    return createProblem(
      "insufficient_scope",
      { requiredScopes, grantedScopes, missingScopes },
      { message: "You can only grant scopes that you hold." },
    );
  };

  const withTag = (key: ApiKey, body: object): OperationResult => ({
    body,
    headers: { ETag: entityTag(key) },
  });

  const locationOf = (key: ApiKey) => ({
    Location: `${options.basePath}${options.paths.keys}/${encodeURIComponent(key.id)}`,
  });

  /** Issues a key and formats the response, before the key is stored if the response is stored too. */
  const issue = async (
    { save }: OperationInput<S>,
    format: (issued: IssuedKey) => object,
    issueKey: (option: BeforeCommitOption) => Promise<IssuedKey>,
  ): Promise<OperationResult> => {
    const bodies = new Map<string, object>();
    const beforeCommit = async (issued: IssuedKey) => {
      const body = format(issued);
      await save?.(issued.key.id, body);
      bodies.set(issued.key.id, body);
    };
    const issued = await issueKey(save === undefined ? {} : { beforeCommit });
    if (!bodies.has(issued.key.id)) await beforeCommit(issued); // a manager of the host may ignore the option
    return { body: bodies.get(issued.key.id) as object, headers: locationOf(issued.key) };
  };

  return {
    async list({ principal, query }) {
      const { ownerId, environment } = principal;
      if (environment !== undefined && query.environment !== undefined && query.environment !== environment) {
        return { body: presenter.list({ items: [] }) };
      }
      const names = ["status", "environment", "createdByKey", "search", "cursor", "limit"];
      const page = await withInputErrors("query", names, wireName, () =>
        keys.list({
          limit: pageSize,
          ...query,
          ownerId,
          ...(environment !== undefined && { environment }),
        }),
      );
      return { body: presenter.list(page) };
    },

    async create(operation) {
      const { principal, body } = operation;
      const defaultMembers = defaults
        ? await callHost('The function "defaults"', () => defaults(principal))
        : {};
      const given = checkOptions("defaults", defaultMembers, BODY_MEMBERS.create);
      const principals = await currentPrincipals(operation); // after `defaults`, which may take long
      const members = { ...inheritedMembers(principal as Principal), ...given, ...body };
      const key = { ...members, ownerId: principal.ownerId } as CreateKey<S>;
      requireGrant(principals, toGrant(key));
      // An invalid default is an error of the host, not of the client.
      const names = input.create.filter((name) => !(name in given) || name in body);
      const [, current] = principals;
      const creator = { actor: actorOf(operation), createdByKey: current?.key?.id };
      return withInputErrors("body", names, wireName, () =>
        issue(operation, presenter.created, (option) => keys.create(key, { ...option, ...creator })).catch(
          rejectEndedCreator(principal as Principal),
        ),
      );
    },

    async get(operation) {
      const key = await findKey(operation);
      return withTag(key, presenter.updated(key));
    },

    async update(operation) {
      const body = operation.body as UpdateKey;
      const { id, check, actor } = await findGrantable(operation, body);
      const key = await withInputErrors("body", input.update, wireName, () =>
        keys.update(id, body, { check, actor }),
      );
      return withTag(key, presenter.updated(key));
    },

    async revoke(operation) {
      const source = "reason" in operation.query ? "query" : "body";
      const repeated = Object.keys(operation.query).filter((name) => name in operation.body);
      if (repeated.length > 0) {
        const message = "must not be in the body as well";
        throw invalidInput(
          "query",
          repeated.map((name) => ({ path: wireName(name), message })),
        );
      }
      await currentPrincipals(operation);
      const { id } = await findKey(operation);
      const options: RevokeOptions = { ...operation.query, ...operation.body, actor: actorOf(operation) };
      const key = await withInputErrors(source, ["reason"], wireName, () => keys.revoke(id, options));
      return { body: presenter.revoked(key) };
    },

    async rotate(operation) {
      const { overlap = defaultOverlap, environment } = operation.body as {
        overlap?: Duration;
        environment?: string;
      };
      const { id, check, actor, createdByKey } = await findGrantable(operation);
      const options = {
        overlap,
        ...(environment !== undefined && { environment }),
        check,
        actor,
        createdByKey,
      };
      return withInputErrors("body", input.rotate, wireName, () =>
        issue(operation, presenter.rotated, (option) => keys.rotate(id, { ...options, ...option })),
      );
    },

    async replay(operation) {
      // The rotation of the caller's own key has shortened its expiry, but not that of the successor.
      const ownExpiry = isKeyToken(operation.principal as Principal) ? {} : { expiresAt: new Date(0) };
      // `If-Match` names the key that was rotated, not its successor.
      const { key } = await findGrantable({ ...operation, ifMatch: undefined }, ownExpiry);
      if (!REPLAYABLE.includes(key.status)) throw new KeyStateError(`The key is ${key.status}`);
      return { body: {}, headers: locationOf(key) };
    },

    async disable(operation) {
      await currentPrincipals(operation);
      const { id } = await findKey(operation);
      const key = await keys.disable(id, { actor: actorOf(operation), by: "owner" });
      return withTag(key, presenter.updated(key));
    },

    async enable(operation) {
      const { id, check, actor } = await findGrantable(operation);
      const key = await keys.enable(id, { check, actor, by: "owner" });
      return withTag(key, presenter.updated(key));
    },

    async audit(operation) {
      const { id, ownerId } = await findKey(operation);
      const page = await withInputErrors("query", ["cursor", "limit"], wireName, () =>
        keys.auditTrail({ limit: pageSize, ...operation.query, keyId: id, ownerId }),
      );
      return { body: presenter.audit(page) };
    },

    async me({ principal: { key } }) {
      if (key === undefined) throw createProblem("not_an_api_key");
      return { body: presenter.me(key) };
    },
  };
}

function toGrant({ scopes = [], environment, ipAllowlist, expiresAt, rateLimit }: CreateKey): Grant {
  return { scopes, environment, ipAllowlist, expiresAt, rateLimit };
}

/** The entity tag of a key (RFC 9110, 8.8.3). The use of a key does not change it. */
function entityTag({ version }: ApiKey): string {
  return `"${version}"`;
}

/** An actor of another type would be missing from the audit trail. */
function checkActor(actor: unknown): string {
  rejectPromise('createManagementApi: "actor"', actor);
  if (typeof actor === "string") return actor;
  throw new TypeError(`createManagementApi: "actor" must return a string; received ${describe(actor)}`);
}
