import { generateKeyPairSync, type KeyObject } from "node:crypto";
import type { CreateKey, IssuedKey, Verifier, VerifierOptions } from "../../../src/index.js";
import { settingsOf, withSettings } from "../../../src/kit.js";
import { createTokenService, type TokenService, type TokenServiceOptions } from "../../../src/oauth/index.js";
import { type FleetScope, type Service, service } from "../core/fixtures.js";
import { type ProofParts, proofOf } from "../jwt/dpop/fixtures.js";

export const ISSUER = "https://api.example.com";
export const AUDIENCE = "https://api.example.com/fleet";
export const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
export const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";
export const JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt";

/** Creates the DPoP proof of a request for a token. */
export function tokenProof(parts: ProofParts = {}): string {
  return proofOf({ ...parts, claims: { htm: "POST", htu: `${ISSUER}/token`, ...parts.claims } });
}

/** Generates a P-256 key. */
export function ecKey(): KeyObject {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
}

export interface Exchanger extends Service {
  readonly tokens: TokenService<FleetScope>;
  /** Creates a key; by default of acme, live and with `vehicles:write`. */
  issue(more?: Partial<CreateKey<FleetScope>>): Promise<IssuedKey>;
  /** Exchanges a key for an access token. */
  tokenOf(secret: string, scope?: string): Promise<string>;
}

/** Returns a verifier of API keys with another `verify`, and the settings of `inner`. */
export function wrapped(
  inner: Verifier<FleetScope>,
  verify: Verifier<FleetScope>["verify"],
): Verifier<FleetScope> {
  return withSettings({ ...inner, verify }, settingsOf<FleetScope>(inner));
}

/** Creates a token service over a memory store, with a stopped clock. */
export function exchanger(
  options: Partial<TokenServiceOptions<FleetScope>> = {},
  keys: Partial<VerifierOptions<FleetScope>> = {},
): Exchanger {
  const base = service(keys);
  const tokens = createTokenService<FleetScope>({
    issuer: ISSUER,
    audience: AUDIENCE,
    signingKey: ecKey(),
    ttl: "15m",
    verifier: base.verifier,
    store: base.store,
    keyTtl: "0s",
    revocations: "per-process",
    ...options,
  });
  return {
    ...base,
    tokens,
    issue: (more = {}) =>
      base.manager.create({ ownerId: "acme", environment: "live", scopes: ["vehicles:write"], ...more }),
    async tokenOf(secret, scope) {
      const { status, body } = await post(tokens, "/token", {
        form: { grant_type: "client_credentials", ...(scope === undefined ? {} : { scope }) },
        bearer: secret,
      });
      if (status !== 200) throw new Error(`${status} ${JSON.stringify(body)}`);
      return body.access_token as string;
    },
  };
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Record<string, unknown>;
}

export type Form = Record<string, string> | readonly (readonly [string, string])[] | string;

export interface Sent {
  readonly form?: Form;
  readonly bearer?: string | undefined;
  readonly basic?: readonly [string, string];
  readonly headers?: Record<string, string>;
  readonly method?: string;
  readonly remoteAddress?: string;
}

/** Sends a form to a handler of a token service and reads the response. */
export async function post(
  { handler }: Pick<TokenService, "handler">,
  path: string,
  { form = {}, bearer, basic, headers = {}, method = "POST", remoteAddress }: Sent = {},
): Promise<Reply> {
  const request = new Request(`http://localhost${path}`, {
    method,
    headers: {
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
      ...(basic === undefined ? {} : { authorization: basicOf(...basic) }),
      ...(method === "POST" ? { "content-type": "application/x-www-form-urlencoded" } : {}),
      ...headers,
    },
    ...(method === "POST" && {
      body: typeof form === "string" ? form : new URLSearchParams(form as Record<string, string>).toString(),
    }),
  });
  return read(await handler(request, remoteAddress === undefined ? {} : { remoteAddress }));
}

export async function read(response: Response): Promise<Reply> {
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>),
  };
}

/** RFC 6749, 2.3.1 */
export function basicOf(id: string, secret: string): string {
  const encode = (text: string) => encodeURIComponent(text).replaceAll("%20", "+");
  return `Basic ${Buffer.from(`${encode(id)}:${encode(secret)}`).toString("base64")}`;
}
