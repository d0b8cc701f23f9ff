/**
 * Forward authentication: lets nginx, Traefik, Caddy, HAProxy or Envoy guard a backend in any language.
 *
 * @module
 */

export type { SigningKey } from "../oauth/signing-key.js";
export { createForwardAuth, type ForwardAuth } from "./forward-auth.js";
export type { AssertionOptions, ForwardAuthOptions } from "./options.js";
export type { GatewayProxy } from "./proxies.js";
export type { GatewayRoute } from "./routes.js";
