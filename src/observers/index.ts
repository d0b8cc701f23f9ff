export { type AuditLog, type AuditLogOptions, auditLog } from "./audit-log.js";
export { type LastUsed, type LastUsedOptions, lastUsed } from "./last-used.js";
export { DroppedError, type WriteBehindOptions, type WriteReport } from "./options.js";
