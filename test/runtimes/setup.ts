// Workers of a test runner may be of another runtime than the runner itself.
const { bun, deno, node } = process.versions as Record<string, string | undefined>;
const here = bun !== undefined ? "bun" : deno !== undefined ? "deno" : `node${node?.split(".")[0]}`;
if (here !== process.env.KEYBEARER_RUNTIME) {
  throw new Error(`This is ${here}, and not ${process.env.KEYBEARER_RUNTIME}`);
}

// Fastify's router calls this without its class, which Deno does not allow: a target such as `http://host/path` would be
// an exception that nobody catches, in whichever test runs by then. See docs/runtimes.md.
if (here === "deno") URL.parse = URL.parse.bind(URL);
