import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { toNodeListener } from "../../../src/adapters/node.js";
import { createKeyManager, type KeyManager, type ManagedKeyStore } from "../../../src/index.js";
import { createLeakReceiver, type LeakReceiverOptions, type LeakReport } from "../../../src/leaks/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { format, scopes } from "../../unit/core/fixtures.js";

export const CREDENTIAL = "a credential of 30 characters!".replaceAll(" ", "-");

/** A key that GitHub signs with. */
export interface Signer {
  readonly identifier: string;
  readonly privateKey: KeyObject;
  readonly pem: string;
}

export function createSigner(identifier: string, namedCurve = "P-256"): Signer {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve });
  return { identifier, privateKey, pem: publicKey.export({ type: "spki", format: "pem" }).toString() };
}

/** The server of GitHub's public keys. */
export interface KeyServer {
  readonly url: string;
  document: unknown;
  status: number;
  requests: number;
  close(): void;
}

export async function startKeyServer(document: unknown): Promise<KeyServer> {
  const server = createServer((_, res) => {
    state.requests += 1;
    res.writeHead(state.status, { "content-type": "application/json" }).end(JSON.stringify(state.document));
  });
  const state: KeyServer = {
    url: `${await listen(server)}/keys`,
    document,
    status: 200,
    requests: 0,
    close: () => server.close(),
  };
  return state;
}

export function documentOf(...signers: readonly Signer[]) {
  return {
    public_keys: signers.map(({ identifier, pem }) => ({
      key_identifier: identifier,
      key: pem,
      is_current: true,
    })),
  };
}

export interface Receiver {
  readonly url: string;
  readonly manager: KeyManager;
  readonly store: ManagedKeyStore;
  readonly leaks: LeakReport[];
  readonly errors: unknown[];
  issue(): Promise<{ readonly secret: string; readonly id: string }>;
  statusOf(id: string): Promise<string | undefined>;
  close(): void;
}

/** Starts a service with a receiver over a real socket. */
export async function startReceiver(
  options: Partial<LeakReceiverOptions> = {},
  store: ManagedKeyStore = memoryStore(),
): Promise<Receiver> {
  const manager = createKeyManager({ store, scopes, format, maxKeysPerOwner: 100_000 }) as KeyManager;
  const leaks: LeakReport[] = [];
  const errors: unknown[] = [];
  const receiver = createLeakReceiver({
    keys: manager,
    format,
    onLeak: (leak) => leaks.push(leak),
    onError: (error) => errors.push(error),
    ...options,
  });
  const server = createServer(toNodeListener(receiver));
  const url = await listen(server);
  return {
    url,
    manager,
    store,
    leaks,
    errors,
    async issue() {
      const { secret, key } = await manager.create({
        ownerId: "acme",
        scopes: ["vehicles:read"],
        environment: "live",
      });
      return { secret, id: key.id };
    },
    statusOf: async (id) => (await manager.get(id))?.status,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Sends a body as GitHub does. */
export function sendSigned(
  { url }: Pick<Receiver, "url">,
  { identifier, privateKey }: Signer,
  body: unknown,
  change: {
    readonly signature?: string;
    readonly sent?: string;
    readonly headers?: Record<string, string>;
  } = {},
): Promise<Response> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const signature = sign("sha256", Buffer.from(text), privateKey).toString("base64");
  return fetch(`${url}/leaks`, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      "Github-Public-Key-Identifier": identifier,
      "Github-Public-Key-Signature": change.signature ?? signature,
      ...change.headers,
    },
    body: change.sent ?? text,
  });
}

export const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

export const matchOf = (token: string, more: Record<string, unknown> = {}) => ({
  token,
  type: "acme_api_key",
  url: "https://github.example/acme/app/blob/1/app.env",
  source: "content",
  ...more,
});

function listen(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () =>
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    );
  });
}
