import { readJson } from "../../http/body.js";
import type { Requirement, Scopes } from "../../kit.js";
import { type Run, requireInput } from "./endpoint.js";
import type { CheckSecret } from "./secret-check.js";

const MEMBERS = ["secret", "requirement", "clientIp"];
const MAX_SCOPES = 64;

/** Creates `POST /verify`: `{ secret, requirement?, clientIp? }`. The response is a 200 for a denial too. */
export function verifyEndpoint(check: CheckSecret, scopes: Scopes): Run {
  return async ({ request, requestId, principal: caller }) => {
    const body = await readJson(request);
    requireInput(typeof body === "object" && body !== null && !Array.isArray(body), "", "must be an object");
    const { secret, requirement, clientIp } = body as Readonly<Record<string, unknown>>;
    requireInput(
      Object.keys(body).every((name) => MEMBERS.includes(name)),
      "",
      `may have ${MEMBERS.join(", ")}`,
    );
    requireInput(typeof secret === "string", "secret", "must be a string");
    requireInput(
      clientIp === undefined || (typeof clientIp === "string" && clientIp.length <= 64),
      "clientIp",
      "must be an IP address",
    );
    const result = await check(caller, {
      ...{ secret, clientIp, requestId },
      requirement: readRequirement(requirement, scopes),
    });
    if (!result.ok) {
      const { status, headers } = result.error;
      return { allowed: false, error: { status, headers, ...result.error.toBody(requestId) } };
    }
    const { principal, headers } = result;
    const { type, id, ownerId, environment, key } = principal;
    const { name = null, metadata = null, expiresAt = null } = key ?? {};
    return {
      allowed: true,
      headers,
      principal: {
        ...{ type, id, ownerId, environment, scopes: principal.scopes },
        ...{ name, metadata, expiresAt },
      },
    };
  };
}

/** @throws HttpProblem 400 if the requirement is invalid or names a scope that is not defined. */
export function readRequirement(given: unknown, scopes: Scopes): Requirement | undefined {
  if (given === undefined) return undefined;
  const anyOf = (given as { readonly anyOf?: unknown } | null)?.anyOf;
  const isAny = anyOf !== undefined && Object.keys(given as object).length === 1;
  const list = typeof given === "string" ? [given] : isAny ? anyOf : given;
  requireInput(
    Array.isArray(list) &&
      list.length > 0 &&
      list.length <= MAX_SCOPES &&
      list.every((scope) => typeof scope === "string" && scopes.get(scope) !== undefined),
    "requirement",
    'must be a defined scope, an array of them, or { "anyOf": [...] }',
  );
  return (isAny ? { anyOf: list } : list) as Requirement;
}
