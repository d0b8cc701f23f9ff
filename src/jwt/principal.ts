import {
  type ApiKey,
  type AuthRequest,
  type AuthSubject,
  definedScopes,
  type KeyRecord,
  type Principal,
  resolveRequestId,
  type Scopes,
  toApiKey,
} from "../kit.js";
import type { JwtClaims } from "./claims.js";
import type { Proof } from "./proof.js";

/** What a token grants: of one that is bound to a key, what the key still grants. */
export function holderOf({ subject }: Proof, key: KeyRecord | undefined, scopes: Scopes): AuthSubject {
  if (key === undefined) return subject;
  const granted = subject.scopes.filter((name) => scopes.holds(key.scopes, name));
  return { ...subject, scopes: granted, isKey: subject.id === key.id };
}

/**
 * The principal of a request with a JWT. Like that of a key: what few handlers read is made when it is read, and
 * neither JSON nor an inspection holds the claims, which may say more of a person than a log should.
 */
export class JwtPrincipal<S extends string> implements Principal<S> {
  readonly type: "jwt" = "jwt";
  readonly id: string;
  readonly ownerId: string;
  readonly environment: string | undefined;
  readonly #claims: JwtClaims;
  readonly #granted: readonly string[];
  readonly #record: KeyRecord | undefined;
  readonly #registry: Scopes<S>;
  readonly #request: AuthRequest;
  readonly #now: number;
  #scopes: readonly S[] | undefined;
  #key: ApiKey | undefined;
  #requestId: string | undefined;

  constructor(
    holder: AuthSubject,
    claims: JwtClaims,
    record: KeyRecord | undefined,
    registry: Scopes<S>,
    request: AuthRequest,
    now: number,
  ) {
    this.id = holder.id;
    this.ownerId = holder.ownerId;
    this.environment = holder.environment ?? undefined;
    this.#claims = claims;
    this.#granted = holder.scopes;
    this.#record = record;
    this.#registry = registry;
    this.#request = request;
    this.#now = now;
    Object.freeze(this);
  }

  get scopes(): readonly S[] {
    this.#scopes ??= definedScopes(this.#granted, this.#registry);
    return this.#scopes;
  }

  get claims(): JwtClaims {
    return this.#claims;
  }

  /** The key that a bound token was made of. */
  get key(): ApiKey | undefined {
    if (this.#record !== undefined) this.#key ??= toApiKey(this.#record, this.#now);
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
