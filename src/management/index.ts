export type { ConnectionInfo, RequestHandler } from "../http/handler.js";
export { type Fault, HttpProblem } from "../http/problem.js";
export { createManagementApi } from "./api.js";
export type { Naming } from "./naming.js";
export type {
  CreateDefaults,
  CreateMember,
  ManagementOptions,
  RotateMember,
  UpdateMember,
} from "./options.js";
export type { ErrorAnswer, PresentedName, Presenter, UsualBody } from "./presenter.js";
export type { Problem, ProblemCode } from "./problems.js";
export type { RouteName, RoutePaths } from "./routes.js";
