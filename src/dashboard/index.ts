export type { ConnectionInfo, RequestHandler } from "../http/handler.js";
export type { CreateDefaults } from "../management/options.js";
export { createDashboard, type Dashboard } from "./dashboard.js";
export type { MessageKey } from "./messages.js";
export type { DashboardOptions } from "./options.js";
export type { PortalLink } from "./portal.js";
export {
  memoryPortalStore,
  type PortalEntry,
  type PortalStore,
  type RedisPortalOptions,
  redisPortalStore,
} from "./portal-store.js";
export type { MessageOverrides, ScopePreset } from "./session-body.js";
export type { SignedIn } from "./signed-in.js";
export type { Theme } from "./theme.js";
