/**
 * Signed webhooks for the owners of keys.
 *
 * @module
 */

export type { KeyWebhooksOptions, WebhookEndpoint } from "./options.js";
export { WebhookError } from "./request.js";
export { createKeyWebhooks, type KeyWebhooks } from "./webhooks.js";
