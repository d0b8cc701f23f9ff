import type { Principal } from "../kit.js";
import type { Members } from "./request-input.js";
import type { RouteName } from "./routes.js";

/** An authenticated request with validated input. */
export interface OperationInput<S extends string> {
  readonly principal: Principal<S>;
  /** The id in the path; `undefined` if it cannot be a key id. */
  readonly id: string | undefined;
  readonly query: Members;
  readonly body: Members;
  /** The header `If-Match`: the version of the key that the client changes. */
  readonly ifMatch?: string | undefined;
  /** Stores the body of the response before the key is stored, for a request with an `Idempotency-Key`. */
  readonly save?: (keyId: string, body: object) => Promise<void>;
}

/** The result of an operation. The status is that of the route. */
export interface OperationResult {
  readonly body: object;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The implementation of a route. */
export type Operation<S extends string> = (input: OperationInput<S>) => Promise<OperationResult>;

/** The operations of all routes but `openapi`, and `replay`, which checks whether a stored response may be sent again. */
export type Operations<S extends string> = Readonly<
  Record<Exclude<RouteName, "openapi"> | "replay", Operation<S>>
>;
