import { type ApiKey, toApiKey, type VerifiableRecord } from "../keys/record.js";
import type { Scopes } from "../keys/scopes.js";
import { toStoreError } from "../store-calls.js";
import type { AuthSubject, VerificationContext } from "./context.js";

/** The key or subject behind a verified request. Frozen; `JSON.stringify` of it contains no secrets. */
export interface Principal<S extends string = string> {
  readonly type: "api_key" | "jwt";
  /** The id of the key, or the subject of the token. */
  readonly id: string;
  readonly ownerId: string;
  readonly environment: string | undefined;
  /** The granted scopes, without the scopes that they imply. Scopes that are no longer defined are left out. */
  readonly scopes: readonly S[];
  /** The key, or the key that a token is bound to: a frozen copy, created when it is first read. */
  readonly key?: ApiKey | undefined;
  /** The claims, for `type: "jwt"`. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined;
  readonly requestId: string;
  /** Whether the principal has a scope, directly or by implication. */
  can(scope: S): boolean;
}

/**
 * Declares the scopes of a service for Express, Koa and Fastify, whose requests have one type for all routes. It makes
 * `req.auth.can("vehicles:rea")` a compile error.
 *
 * @example
 * declare module "keybearer" {
 *   interface Register { scopes: typeof scopes }
 * }
 */
// biome-ignore lint/suspicious/noEmptyInterface: services add a member by declaration merging
export interface Register {}

/** The scope names of {@link Register}; any string if the service did not declare them. */
export type RegisteredScope = Register extends { readonly scopes: Scopes<infer S> } ? S : string;

/**
 * The principal of a request with an API key or a token. Members that few handlers read are getters on the prototype, and
 * the record and the claims are private, so that neither inspection nor JSON shows a hash or personal data.
 */
export class RequestPrincipal<S extends string> implements Principal<S> {
  readonly type: "api_key" | "jwt";
  readonly id: string;
  readonly ownerId: string;
  readonly environment: string | undefined;
  readonly #granted: readonly string[];
  readonly #registry: Scopes<S>;
  readonly #context: Pick<VerificationContext<S>, "requestId">;
  readonly #now: number;
  readonly #record: VerifiableRecord | undefined;
  readonly #claims: Principal<S>["claims"];
  #scopes: readonly S[] | undefined;
  #key: ApiKey | undefined;

  /** A principal with claims is one of a token; `record` is then the key that the token is bound to, if any. */
  constructor(
    subject: AuthSubject,
    registry: Scopes<S>,
    context: Pick<VerificationContext<S>, "requestId">,
    now: number,
    record: VerifiableRecord | undefined,
    claims?: Principal<S>["claims"],
  ) {
    this.type = claims === undefined ? "api_key" : "jwt";
    this.id = subject.id;
    this.ownerId = subject.ownerId;
    this.environment = subject.environment ?? undefined;
    // Copied unless frozen: later changes in the store must not change what this request may do.
    this.#granted = Object.isFrozen(subject.scopes) ? subject.scopes : [...subject.scopes];
    this.#registry = registry;
    this.#context = context;
    this.#now = now;
    this.#record = record;
    this.#claims = claims;
    Object.freeze(this);
  }

  get scopes(): readonly S[] {
    this.#scopes ??= definedScopes(this.#granted, this.#registry);
    return this.#scopes;
  }

  get key(): ApiKey | undefined {
    try {
      if (this.#record !== undefined) this.#key ??= toApiKey(this.#record, this.#now);
    } catch (error) {
      throw toStoreError(error); // metadata that cannot be cloned; the original message quotes it
    }
    return this.#key;
  }

  get claims(): Principal<S>["claims"] {
    return this.#claims;
  }

  get requestId(): string {
    return this.#context.requestId;
  }

  can(scope: S): boolean {
    return this.#registry.holds(this.#granted, scope);
  }

  toJSON(): Pick<Principal<S>, "type" | "id" | "ownerId" | "environment" | "scopes" | "requestId"> {
    const { type, id, ownerId, environment, scopes, requestId } = this;
    return { type, id, ownerId, environment, scopes, requestId };
  }
}

/** Returns the granted scopes that are still defined, frozen. */
export function definedScopes<S extends string>(
  granted: readonly string[],
  registry: Scopes<S>,
): readonly S[] {
  return Object.freeze(granted.filter((name): name is S => registry.get(name) !== undefined));
}
