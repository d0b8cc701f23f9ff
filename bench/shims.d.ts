// Types of the parts of other libraries that the benchmark uses, so that it can be type-checked without installing them.

declare module "@better-auth/api-key" {
  interface Storage {
    get(key: string): string | null;
    set(key: string, value: string): void;
    delete(key: string): void;
  }
  export function apiKey(options: {
    storage: "secondary-storage";
    customStorage: Storage;
    rateLimit: { enabled: boolean };
  }): object;
}

declare module "better-auth" {
  type Permissions = Record<string, readonly string[]>;
  interface User {
    readonly email: string;
    readonly name: string;
    readonly emailVerified: boolean;
  }
  interface Auth {
    readonly $context: Promise<{
      internalAdapter: { createUser(user: User): Promise<{ readonly id: string }> };
    }>;
    readonly api: {
      createApiKey(call: {
        body: { userId: string; name: string; permissions: Permissions };
      }): Promise<{ readonly key: string }>;
      verifyApiKey(call: {
        body: { key: string; permissions: Permissions };
      }): Promise<{ readonly valid: boolean }>;
    };
  }
  export function betterAuth(options: {
    secret: string;
    baseURL: string;
    database: object;
    logger: { level: "error" };
    telemetry: { enabled: boolean };
    plugins: readonly object[];
  }): Auth;
}

declare module "better-auth/adapters/memory" {
  export function memoryAdapter(tables: Record<string, readonly object[]>): object;
}

declare module "@fastify/bearer-auth/lib/verify-bearer-auth-factory.js" {
  type Headers = Readonly<Record<string, string>>;
  export default function verifyBearerAuthFactory(options: {
    keys: string[];
    addHook: boolean;
    verifyErrorLogLevel: false;
  }): (
    request: { raw: { headers: Headers } },
    reply: { code(status: number): void },
    done: (error?: Error) => void,
  ) => void;
}

declare module "@fastify/bearer-auth" {
  import type { FastifyPluginCallback } from "fastify";

  const bearerAuth: FastifyPluginCallback<{
    keys: string[];
    addHook: boolean | "onRequest" | "preParsing";
    auth(key: string): boolean;
  }>;
  export default bearerAuth;
}

declare module "passport" {
  import type { RequestHandler } from "express";

  const passport: {
    use(strategy: object): void;
    authenticate(name: string, options: { session: boolean }): RequestHandler;
  };
  export default passport;
}

declare module "passport-http-bearer" {
  type Done = (error: Error | null, user: object | false, info?: { scope: string }) => void;
  const passportBearer: {
    Strategy: new (verify: (token: string, done: Done) => void) => object;
  };
  export default passportBearer;
}

declare module "prefixed-api-key" {
  type Made =
    | { readonly token: string; readonly shortToken: string; readonly longTokenHash: string }
    | { readonly token?: undefined };
  const prefixed: {
    generateAPIKey(options: { keyPrefix: string }): Promise<Made>;
    extractShortToken(token: string): string;
    checkAPIKey(token: string, longTokenHash: string): boolean;
  };
  export default prefixed;
}
