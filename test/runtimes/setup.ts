// Vitest may start its workers with another runtime than its own, so every worker checks.
const { bun, deno, node } = process.versions as Record<string, string | undefined>;
const current = bun !== undefined ? "bun" : deno !== undefined ? "deno" : `node${node?.split(".")[0]}`;
if (current !== process.env.KEYBEARER_RUNTIME) {
  throw new Error(`expected ${process.env.KEYBEARER_RUNTIME}, but this is ${current}`);
}

// Fastify's router calls URL.parse without its class, which throws in Deno and ends the process. See docs/runtimes.md.
if (current === "deno") URL.parse = URL.parse.bind(URL);
