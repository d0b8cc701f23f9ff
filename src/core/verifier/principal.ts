import { type ApiKey, toApiKey, type VerifiableRecord } from "../keys/record.js";
import type { Scopes } from "../keys/scopes.js";
import { type AuthRequest, resolveRequestId } from "../requests/request.js";

/** Who a verified request is. Frozen; `JSON.stringify` of it holds nothing secret. */
export interface Principal<S extends string = string> {
  readonly type: "api_key" | "jwt";
  /** The id of the key (or the subject of the token). */
  readonly id: string;
  readonly ownerId: string;
  readonly environment: string | undefined;
  /** The scopes as granted, without what they imply. Scopes that the service no longer defines are left out. */
  readonly scopes: readonly S[];
  /** The key, for `type: "api_key"`: a frozen copy, made when it is first read. */
  readonly key?: ApiKey | undefined;
  /** The claims, for `type: "jwt"`. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined;
  readonly requestId: string;
  /** Whether the principal holds a scope, directly or by implication. */
  can(scope: S): boolean;
}

/**
 * The principal of a request with an API key.
 *
 * A class, because `key` and `requestId` are worth making only for the handlers that read them: the getters
 * sit on the prototype, and the record behind them is out of reach, of inspection too.
 */
export class ApiKeyPrincipal<S extends string> implements Principal<S> {
  readonly type: "api_key" = "api_key";
  readonly id: string;
  readonly ownerId: string;
  readonly environment: string | undefined;
  readonly #record: VerifiableRecord;
  readonly #granted: readonly string[];
  readonly #registry: Scopes<S>;
  readonly #request: AuthRequest;
  readonly #now: number;
  #scopes: readonly S[] | undefined;
  #key: ApiKey | undefined;
  #requestId: string | undefined;

  constructor(record: VerifiableRecord, registry: Scopes<S>, request: AuthRequest, now: number) {
    this.id = record.id;
    this.ownerId = record.ownerId;
    this.environment = record.environment ?? undefined;
    this.#record = record;
    // The store's own list, if it can still change, must not decide later what this request may do.
    this.#granted = Object.isFrozen(record.scopes) ? record.scopes : [...record.scopes];
    this.#registry = registry;
    this.#request = request;
    this.#now = now;
    Object.freeze(this);
  }

  get scopes(): readonly S[] {
    this.#scopes ??= definedScopes(this.#granted, this.#registry);
    return this.#scopes;
  }

  get key(): ApiKey {
    this.#key ??= toApiKey(this.#record, this.#now);
    return this.#key;
  }

  get requestId(): string {
    this.#requestId ??= resolveRequestId(this.#request);
    return this.#requestId;
  }

  can(scope: S): boolean {
    return this.#registry.holds(this.#granted, scope);
  }

  toJSON(): Pick<Principal<S>, "type" | "id" | "ownerId" | "environment" | "scopes" | "requestId"> {
    const { type, id, ownerId, environment, scopes, requestId } = this;
    return { type, id, ownerId, environment, scopes, requestId };
  }
}

/** The granted scopes that the service still defines, frozen. */
export function definedScopes<S extends string>(
  granted: readonly string[],
  registry: Scopes<S>,
): readonly S[] {
  return Object.freeze(granted.filter((name): name is S => registry.get(name) !== undefined));
}
