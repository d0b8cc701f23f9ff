import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UPSTREAMS, type Upstream, verifierBehind } from "../../unit/adapters/fixtures.js";
import { type App, oldestSetups, setups } from "../../unit/adapters/frameworks.js";
import type { RawRequest } from "../../unit/adapters/raw.js";
import { type Case, check, comparable } from "./case.js";
import { requestIdCases } from "./cases/http.js";
import { cases } from "./cases.js";

/** Whether an old framework handles the request itself, before the guard. */
const isHandledByFramework = (name: string, { id, request, expected }: Case): boolean => {
  // Its router throws for a method without routes: 500.
  const isRouted = ["GET", "HEAD", "OPTIONS"].includes(request.method ?? "GET");
  if (name === "Hono 4.0") return expected.kind === "unserved" && !isRouted;
  // Fastify reads the Content-Type before NestJS calls its guards: 415.
  if (name === "NestJS on Fastify") return id === "POST with an invalid Content-Type, without a key";
  return name === "Fastify 4.28" && id === "HTTP/0.9"; // 505
};

const all = [...setups, ...oldestSetups];
const apps = new Map<string, App>();
const appOf = (name: string, behind: Upstream = "none"): App => apps.get(`${name} ${behind}`) as App;

/** The id is separate, because vitest truncates titles taken from objects. */
const named = (entries: readonly Case[]) => entries.map((entry) => [entry.id, entry] as const);

beforeAll(async () => {
  for (const { name, start } of all) {
    for (const upstream of UPSTREAMS) {
      apps.set(`${name} ${upstream}`, await start({ verifier: verifierBehind(upstream) }));
    }
  }
});
afterAll(() => Promise.all([...apps.values()].map((app) => app.close())));

test("case ids are unique", () => {
  const names = [...cases, ...requestIdCases].map(({ id }) => id);
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThan(300);
});

describe.each(all)("$name", ({ name, wire }) => {
  const applicable = [...cases, ...(name.includes("Fastify") ? [] : requestIdCases)].filter(
    (entry) => (wire || !entry.wireOnly) && !isHandledByFramework(name, entry),
  );

  test.each(named(applicable))("%s", async (_id, entry) => {
    await check(entry, (request: RawRequest) => appOf(name, entry.behind).request(request));
  });
});

describe("denials are the same bytes in every framework", () => {
  const denials = cases.filter(({ expected }) => expected.kind === "deny");

  test.each(named(denials))("%s", async (_id, entry) => {
    const responses: Record<string, string> = {};
    for (const { name, wire } of all) {
      if ((!wire && entry.wireOnly) || isHandledByFramework(name, entry)) continue;
      const response = await appOf(name, entry.behind).request(entry.request);
      responses[name] = response === undefined ? "no response" : comparable(response);
    }
    const [first] = Object.values(responses);
    expect(responses).toEqual(Object.fromEntries(Object.keys(responses).map((name) => [name, first])));
  });
});
