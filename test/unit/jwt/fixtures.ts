import {
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signBytes,
} from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { AuthResult, KeyEvent, Verifier } from "../../../src/index.js";
import { createJwtVerifier, type JwtVerifierOptions } from "../../../src/jwt/index.js";
import { bearer, type FleetScope, scopes, stoppedClock } from "../core/fixtures.js";

export const ISSUER = "https://login.example.com";
export const AUDIENCE = "https://api.example.com";

/** 2030-01-01, the time of the tests, in seconds. */
export const NOW = 1_893_456_000;

export interface Pair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export const rsa: Pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
export const ec: Pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
export const otherEc: Pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
export const ed: Pair = generateKeyPairSync("ed25519");
export const SECRET = "0123456789abcdef0123456789abcdef";

export const pem = (key: KeyObject): string => key.export({ type: "spki", format: "pem" }).toString();

/** Returns the public JWK of a key, with more members. */
export function jwk(key: KeyObject, more: object = {}): Record<string, unknown> {
  const open = key.type === "private" ? createPublicKey(key) : key;
  return { ...(open.export({ format: "jwk" }) as object), ...more };
}

/** The claims of a valid token. */
export const CLAIMS = {
  iss: ISSUER,
  aud: AUDIENCE,
  sub: "user-1",
  scope: "vehicles:read drivers:read",
  iat: NOW - 60,
  exp: NOW + 600,
} as const;

/** Encodes a part of a token: a string or bytes as they are, anything else as JSON. */
export function encode(part: unknown): string {
  const bytes = part instanceof Uint8Array ? part : typeof part === "string" ? part : JSON.stringify(part);
  return Buffer.from(bytes as string).toString("base64url");
}

/** Signs with `alg`, whatever the header says. */
export function signature(input: string, alg: string, key: KeyObject | string): string {
  const bytes = Buffer.from(input);
  const hash = `sha${alg.slice(2)}`;
  if (alg.startsWith("HS")) return createHmac(hash, key).update(bytes).digest("base64url");
  if (alg === "EdDSA") return signBytes(null, bytes, key).toString("base64url");
  if (alg.startsWith("ES")) {
    return signBytes(hash, bytes, { key: key as KeyObject, dsaEncoding: "ieee-p1363" }).toString("base64url");
  }
  return signBytes(hash, bytes, key).toString("base64url");
}

/** Creates a token, signed with ES256 and the EC key of the tests by default. */
export function token(
  claims: unknown = CLAIMS,
  header: unknown = { alg: "ES256" },
  { alg = "ES256", key = ec.privateKey as KeyObject | string } = {},
): string {
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${signature(input, alg, key)}`;
}

/** Returns the claims with changes; `undefined` removes a claim. */
export const claimsWith = (more: object): object => ({ ...CLAIMS, ...more });

export interface JwtService {
  readonly verifier: Verifier<FleetScope>;
  readonly clock: ReturnType<typeof stoppedClock>;
  readonly events: KeyEvent[];
  send(token: string): Promise<AuthResult<FleetScope>>;
}

/** Creates a verifier with a stopped clock, and records its events. */
export function jwtService(options: Partial<JwtVerifierOptions<FleetScope>> = {}): JwtService {
  const clock = stoppedClock();
  const events: KeyEvent[] = [];
  const verifier = createJwtVerifier<FleetScope>({
    issuer: ISSUER,
    audience: AUDIENCE,
    algorithms: ["ES256"],
    ...(options.jwks === undefined && { key: ec.publicKey }),
    scopes,
    clock: clock.now,
    observers: [(event) => events.push(event)],
    ...options,
  });
  return { verifier, clock, events, send: (sent) => verifier.verify(bearer(sent)) };
}

/** Returns the reason of each denial, or the type of any other event. */
export function reasons({ events }: JwtService): string[] {
  return events.map((event) => (event.type === "auth.denied" ? event.reason : event.type));
}

export interface JwksServer {
  readonly url: string;
  /** Returns the number of requests. */
  readonly calls: () => number;
  respond: (req: IncomingMessage, res: ServerResponse) => void;
  close(): Promise<void>;
}

/** Starts a server on loopback that responds with a JWKS, or as a test sets `respond`. */
export async function jwksServer(...keys: object[]): Promise<JwksServer> {
  let calls = 0;
  const server = createServer((req, res) => {
    calls++;
    jwks.respond(req, res);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const jwks: JwksServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`,
    calls: () => calls,
    respond: respondWith({ keys }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return jwks;
}

export const respondWith =
  (body: unknown): JwksServer["respond"] =>
  (_req, res) => {
    res.setHeader("Content-Type", "application/json");
    res.end(typeof body === "string" ? body : JSON.stringify(body));
  };
