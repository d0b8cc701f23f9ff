import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UPSTREAMS, type Upstream, verifierBehind } from "../../unit/adapters/fixtures.js";
import { type App, setups } from "../../unit/adapters/frameworks.js";
import type { RawRequest } from "../../unit/adapters/raw.js";
import { type Case, check, comparable } from "./case.js";
import { requestIdCases } from "./cases/http.js";
import { cases } from "./cases.js";

const apps = new Map<string, App>();
const appOf = (name: string, behind: Upstream = "none"): App => apps.get(`${name} ${behind}`) as App;

/** With the whole name in front: titles cut off what they take from an object. */
const named = (entries: readonly Case[]) => entries.map((entry) => [entry.id, entry] as const);

beforeAll(async () => {
  for (const { name, start } of setups) {
    for (const upstream of UPSTREAMS) {
      apps.set(`${name} ${upstream}`, await start({ verifier: verifierBehind(upstream) }));
    }
  }
});
afterAll(() => Promise.all([...apps.values()].map((app) => app.close())));

test("the cases have names of their own", () => {
  const names = [...cases, ...requestIdCases].map(({ id }) => id);
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThan(300);
});

describe.each(setups)("$name", ({ name, wire }) => {
  const own = name === "Fastify" ? [] : requestIdCases;
  const asked = [...cases, ...own].filter(({ wireOnly }) => wire || !wireOnly);

  test.each(named(asked))("%s", async (_id, entry) => {
    await check(entry, (request: RawRequest) => appOf(name, entry.behind).request(request));
  });
});

describe("the same bytes in every framework", () => {
  const denials = cases.filter(({ expected }) => expected.kind === "deny");

  test.each(named(denials))("%s", async (_id, entry) => {
    const answers: Record<string, string> = {};
    for (const { name, wire } of setups) {
      if (!wire && entry.wireOnly) continue;
      const response = await appOf(name, entry.behind).request(entry.request);
      answers[name] = response === undefined ? "no answer" : comparable(response);
    }
    const [first] = Object.values(answers);
    expect(answers).toEqual(Object.fromEntries(Object.keys(answers).map((name) => [name, first])));
  });
});
