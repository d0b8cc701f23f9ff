import { createForwardAuth } from "../../gateway/forward-auth.js";
import type { GatewayRoute } from "../../gateway/routes.js";
import type { RequestHandler } from "../../http/handler.js";
import type { KeyManager, ManagedKeyStore, Verifier } from "../../kit.js";
import { createLeakReceiver } from "../../leaks/receiver.js";
import { createTokenService, type TokenService } from "../../oauth/token-service.js";
import type { Config } from "../config.js";
import { usageError } from "../errors.js";
import type { Settings } from "./settings.js";

/** Where the proxy asks. */
export const GATEWAY_PATH = "/authz";

type OnError = (error: unknown, context: { readonly requestId: string }) => void;

/** Creates the token service, if it is configured. */
export function createTokens(
  { tokens }: Settings,
  verifier: Verifier,
  store: ManagedKeyStore,
  onError: OnError,
): TokenService | undefined {
  if (tokens === undefined) return undefined;
  const { issuer, audience, ttl, keyVariable } = tokens;
  const signingKey = readVariable("tokens.keyVariable", keyVariable);
  return createTokenService({
    ...{ issuer, audience, ttl, signingKey, verifier, store, onError },
    ...{ basePath: "/oauth", revocations: "per-process" },
  });
}

/** Creates the receiver of reports of leaked secrets, if it is configured. */
export function createLeaks(
  { leaks }: Settings,
  { format }: Config,
  keys: KeyManager,
  onError: OnError,
): RequestHandler | undefined {
  if (leaks === undefined) return undefined;
  const { action, github, gitlab, trufflehog } = leaks;
  const credential = (source: string, name: string) =>
    readVariable(`leaks.${source}.credentialVariable`, name);
  return createLeakReceiver({
    ...{ keys, format, action, onError },
    ...(!github && { github }),
    ...(gitlab && {
      gitlab: { credential: credential("gitlab", gitlab.credentialVariable), types: gitlab.types },
    }),
    ...(trufflehog && {
      trufflehog: { credential: credential("trufflehog", trufflehog.credentialVariable) },
    }),
  });
}

/** Creates the gateway for a proxy, if it is configured. */
export function createGateway(
  { gateway }: Settings,
  verifier: Verifier,
  onError: OnError,
): RequestHandler | undefined {
  if (gateway === undefined) return undefined;
  const { proxy, peers, tokenVariable, routes } = gateway;
  return createForwardAuth({
    ...{ verifier, proxy, onError },
    routes: routes as readonly GatewayRoute[],
    ...(peers !== undefined && { peers }),
    ...(tokenVariable !== undefined && { token: readVariable("gateway.tokenVariable", tokenVariable) }),
    ...(proxy === "envoy" && { pathPrefix: GATEWAY_PATH }),
  });
}

function readVariable(member: string, name: string): string {
  const value = process.env[name];
  if (value) return value;
  throw usageError(`The environment variable ${name} of "serve.${member}" is not set`);
}
