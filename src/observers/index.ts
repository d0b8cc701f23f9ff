/**
 * Observers for verifiers, managers and caches: last use, audit log, metrics and traces.
 *
 * @module
 */

export type { AttributeOptions } from "./attributes.js";
export { type AuditLog, type AuditLogOptions, auditLog } from "./audit-log.js";
export { type LastUsed, type LastUsedOptions, lastUsed } from "./last-used.js";
export { type Metrics, type MetricsMeter, type MetricsOptions, metrics } from "./metrics.js";
export {
  DroppedError,
  type WriteBehindObserver,
  type WriteBehindOptions,
  type WriteReport,
} from "./options.js";
export { type Traces, type TracesOptions, type TracesTracer, traces } from "./traces.js";
