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

/** 2030-01-01, as the clock of the tests has it. */
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

/** A public JWK. */
export function jwk(key: KeyObject, more: object = {}): Record<string, unknown> {
  const open = key.type === "private" ? createPublicKey(key) : key;
  return { ...(open.export({ format: "jwk" }) as object), ...more };
}

/** The claims of a token that works. */
export const CLAIMS = {
  iss: ISSUER,
  aud: AUDIENCE,
  sub: "user-1",
  scope: "vehicles:read drivers:read",
  iat: NOW - 60,
  exp: NOW + 600,
} as const;

/** JSON, unless it is text (or bytes) already. */
export function encode(part: unknown): string {
  const bytes = part instanceof Uint8Array ? part : typeof part === "string" ? part : JSON.stringify(part);
  return Buffer.from(bytes as string).toString("base64url");
}

/** Signs whatever it is given, by the algorithm that is named here and not by the header. */
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

/** A token, signed by the key of the tests: an EC key, ES256, unless something else is asked for. */
export function token(
  claims: unknown = CLAIMS,
  header: unknown = { alg: "ES256" },
  { alg = "ES256", key = ec.privateKey as KeyObject | string } = {},
): string {
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${signature(input, alg, key)}`;
}

/** The claims with some of them changed; `undefined` takes one away. */
export const claimsWith = (more: object): object => ({ ...CLAIMS, ...more });

export interface JwtService {
  readonly verifier: Verifier<FleetScope>;
  readonly clock: ReturnType<typeof stoppedClock>;
  readonly events: KeyEvent[];
  ask(token: string): Promise<AuthResult<FleetScope>>;
}

/** A verifier with a stopped clock, and every event kept. */
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
  return { verifier, clock, events, ask: (sent) => verifier.verify(bearer(sent)) };
}

/** Why requests were refused, one after the other. */
export function reasons({ events }: JwtService): string[] {
  return events.map((event) => (event.type === "auth.denied" ? event.reason : event.type));
}

export interface JwksServer {
  readonly url: string;
  /** How often it was asked. */
  readonly calls: () => number;
  respond: (req: IncomingMessage, res: ServerResponse) => void;
  close(): Promise<void>;
}

/** A server on loopback that answers a JWKS, or whatever a test wants. */
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
    respond: answering({ keys }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return jwks;
}

export const answering =
  (body: unknown): JwksServer["respond"] =>
  (_req, res) => {
    res.setHeader("Content-Type", "application/json");
    res.end(typeof body === "string" ? body : JSON.stringify(body));
  };
