export type { ConnectionInfo, RequestHandler } from "../http/handler.js";
export { HttpProblem, type InputIssue } from "../http/problem.js";
export { createManagementApi } from "./api.js";
export type { Problem, ProblemCode } from "./error-codes.js";
export type { IdempotencyOptions } from "./idempotency.js";
export {
  type IdempotencyEntry,
  type IdempotencyStore,
  type RedisIdempotencyOptions,
  redisIdempotency,
} from "./idempotency-store.js";
export type { OpenApiOptions } from "./openapi-options.js";
export {
  type OperationSecurity,
  operationSecurity,
  type SecurityScheme,
  securitySchemes,
} from "./openapi-security.js";
export type {
  CreateDefaults,
  CreateMember,
  ManagementOptions,
  RotateMember,
  UpdateMember,
} from "./options.js";
export type { DefaultBody, ErrorResponse, Presenter, PresenterFunction } from "./presenter.js";
export type { RouteName, RoutePaths } from "./routes.js";
export type { Naming } from "./wire-names.js";
