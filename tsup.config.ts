import { readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { transform } from "esbuild";
import { defineConfig } from "tsup";
import { compileClient } from "./src/dashboard/compile-client.js";

/** Small libraries that only some entries need. They are part of the build, so that services install fewer packages. */
const BUNDLED = ["cli-progress", "cli-table3", "commander", "kysely", "lru-cache", "urlpattern-polyfill"];

export default defineConfig({
  entry: {
    index: "src/index.ts",
    kit: "src/kit.ts",
    "adapters/express": "src/adapters/express.ts",
    "adapters/koa": "src/adapters/koa.ts",
    "adapters/hono": "src/adapters/hono.ts",
    "adapters/fastify": "src/adapters/fastify.ts",
    "adapters/nestjs": "src/adapters/nestjs.ts",
    "adapters/fetch": "src/adapters/fetch.ts",
    "adapters/node": "src/adapters/node.ts",
    "stores/memory": "src/stores/memory.ts",
    "stores/sqlite": "src/stores/sqlite.ts",
    "stores/postgres": "src/stores/postgres.ts",
    "stores/mysql": "src/stores/mysql.ts",
    "stores/redis": "src/stores/redis.ts",
    "cache/index": "src/cache/index.ts",
    "jwt/index": "src/jwt/index.ts",
    "oauth/index": "src/oauth/index.ts",
    "management/index": "src/management/index.ts",
    "dashboard/index": "src/dashboard/index.ts",
    "gateway/index": "src/gateway/index.ts",
    "leaks/index": "src/leaks/index.ts",
    "webhooks/index": "src/webhooks/index.ts",
    "rate-limit/index": "src/rate-limit/index.ts",
    "observers/index": "src/observers/index.ts",
    "testing/index": "src/testing/index.ts",
    "cli/index": "src/cli/index.ts",
  },
  format: "esm",
  target: "node20",
  platform: "node",
  dts: true,
  splitting: true,
  noExternal: BUNDLED,
  removeNodeProtocol: false, // Deno and workers know built-in modules by their full names only
  clean: true,
  metafile: true, // for finish-build.mjs
  esbuildPlugins: [
    {
      // The source compiles the client when it is loaded; the build contains the result.
      name: "dashboard-client",
      setup(build) {
        build.onLoad({ filter: /src[/\\]dashboard[/\\]assets\.ts$/ }, () => ({
          contents: `export const CLIENT = ${JSON.stringify(compileClient())};`,
        }));
      },
    },
    {
      name: "comments-of-libraries",
      setup(build) {
        build.onLoad({ filter: /node_modules[/\\].*\.js$/ }, async ({ path }) => {
          const { code } = await transform(readFileSync(path, "utf8"), { minifyWhitespace: true });
          return { contents: code };
        });
      },
    },
    {
      // In an ES module, CommonJS libraries cannot require the modules of Node.
      name: "builtins-of-commonjs",
      setup(build) {
        build.onResolve({ filter: /.*/ }, ({ path, kind }) =>
          kind === "require-call" && isBuiltin(path) ? { path, namespace: "builtin" } : undefined,
        );
        build.onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
          contents: `import builtin from ${JSON.stringify(`node:${path.replace(/^node:/, "")}`)}; module.exports = builtin;`,
        }));
      },
    },
  ],
});
