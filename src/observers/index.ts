export type { AttributeOptions } from "./attributes.js";
export { type AuditLog, type AuditLogOptions, auditLog } from "./audit-log.js";
export { type LastUsed, type LastUsedOptions, lastUsed } from "./last-used.js";
export { type Metrics, type MetricsMeter, type MetricsOptions, metrics } from "./metrics.js";
export { DroppedError, type WriteBehindOptions, type WriteReport } from "./options.js";
export { type Traces, type TracesOptions, type TracesTracer, traces } from "./traces.js";
