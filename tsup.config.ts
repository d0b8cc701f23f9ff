import { defineConfig } from "tsup";

export default defineConfig({
  entry: {
    index: "src/index.ts",
    "adapters/express": "src/adapters/express.ts",
    "adapters/koa": "src/adapters/koa.ts",
    "adapters/hono": "src/adapters/hono.ts",
    "adapters/fastify": "src/adapters/fastify.ts",
    "adapters/fetch": "src/adapters/fetch.ts",
    "adapters/node": "src/adapters/node.ts",
    "stores/memory": "src/stores/memory.ts",
    "stores/sqlite": "src/stores/sqlite.ts",
    "stores/postgres": "src/stores/postgres.ts",
    "stores/mysql": "src/stores/mysql.ts",
    "stores/redis": "src/stores/redis.ts",
    "stores/cached": "src/stores/cached.ts",
    "jwt/index": "src/jwt/index.ts",
    "management/index": "src/management/index.ts",
    "rate-limit/index": "src/rate-limit/index.ts",
    "observers/index": "src/observers/index.ts",
    "testing/index": "src/testing/index.ts",
    "cli/index": "src/cli/index.ts",
  },
  format: "esm",
  target: "node20",
  platform: "node",
  dts: true,
  sourcemap: true,
  splitting: true,
  removeNodeProtocol: false, // Deno and workers know built-in modules by their full names only
  clean: true,
});
