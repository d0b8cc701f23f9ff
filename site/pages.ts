/** A page of the site: its source, relative to the root of the repository, and its name in the sidebar. */
export interface Page {
  readonly source: string;
  readonly label: string;
}

export interface Section {
  readonly title: string;
  readonly pages: readonly Page[];
}

/** Every page, in the order of the sidebar. */
export const sections: readonly Section[] = [
  section("Start", [
    ["README.md", "Get started"],
    ["docs/concepts.md", "Concepts"],
    ["docs/comparison.md", "Compare with other systems"],
  ]),
  section("Frameworks", [
    ["docs/express.md", "Express"],
    ["docs/koa.md", "Koa"],
    ["docs/hono.md", "Hono"],
    ["docs/fastify.md", "Fastify"],
    ["docs/nestjs.md", "NestJS"],
    ["docs/nextjs.md", "Next.js"],
    ["docs/fetch-and-node.md", "fetch and node:http"],
    ["docs/websockets.md", "WebSockets"],
  ]),
  section("Keys and routes", [
    ["docs/scopes.md", "Scopes"],
    ["docs/networks.md", "Networks and proxies"],
    ["docs/rotation.md", "Rotation"],
    ["docs/limits.md", "Rate limits"],
  ]),
  section("Manage and exchange keys", [
    ["docs/cli.md", "Command line"],
    ["docs/management.md", "Management API"],
    ["docs/dashboard.md", "Key page"],
    ["docs/tokens.md", "Token exchange"],
    ["docs/jwt.md", "JWTs of another issuer"],
    ["docs/gateway.md", "In front of any backend"],
  ]),
  section("Storage", [
    ["docs/stores.md", "Stores"],
    ["docs/caching.md", "Caching"],
    ["docs/scaling.md", "Scaling"],
  ]),
  section("Operate", [
    ["docs/operations.md", "Operations"],
    ["docs/leaks.md", "Leaked secrets"],
    ["docs/webhooks.md", "Webhooks"],
    ["docs/serve.md", "Key service"],
    ["docs/logs.md", "Request logs"],
    ["docs/observers.md", "Observers"],
    ["docs/metrics.md", "Metrics and traces"],
    ["docs/runtimes.md", "Runtimes"],
  ]),
  section("Migrate", [
    ["docs/migrating/from-hand-rolled.md", "From your own code"],
    ["docs/migrating/from-better-auth.md", "From better-auth"],
    ["docs/migrating/from-express-jwt.md", "From express-jwt"],
    ["docs/migrating/from-passport-http-bearer.md", "From passport-http-bearer"],
  ]),
  section("Reference", [
    ["docs/options.md", "Options"],
    ["docs/errors.md", "Errors"],
    ["SECURITY.md", "Security"],
    ["docs/design.md", "Design"],
    ["CHANGELOG.md", "Changelog"],
    ["CONTRIBUTING.md", "Contributing"],
  ]),
];

function section(title: string, pages: readonly (readonly [source: string, label: string])[]): Section {
  return { title, pages: pages.map(([source, label]) => ({ source, label })) };
}

/** Returns the path of a page on the site, such as `/rotation`; `undefined` if the file is not on the site. */
export function routeOf(source: string): string | undefined {
  if (source === "docs/README.md") return "/";
  if (!sections.some(({ pages }) => pages.some((page) => page.source === source))) return undefined;
  if (source === "README.md") return "/get-started";
  return `/${source.replace(/^docs\//, "").replace(/\.md$/, "")}`.replace(/^\/[A-Z]+$/, (path) =>
    path.toLowerCase(),
  );
}
