import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { AuthRequest } from "../../../src/index.js";
import { format } from "../../unit/adapters/fixtures.js";
import { type AppOptions, setups } from "../../unit/adapters/frameworks.js";
import { type RawResponse, toFetchRequest } from "../../unit/adapters/raw.js";
import { allowed } from "../../unit/observers/fixtures.js";
import { type Attack, bytesOf } from "./attack.js";
import { attacks } from "./catalogue.js";

import { hiddenOfCatalogue, secretAndHashes } from "./hidden.js";
import { openTargets, variantsOf } from "./runner.js";
import { printed, searchFor } from "./search.js";
import { capturedOutput, everyObserver, printing, textsOf } from "./sinks.js";
import type { Target } from "./target.js";
import { apiBehind, brokenApi, brokenVerifier, LEAK, managedStore, verifierFor } from "./world.js";

// Express and Koa log every step. They read DEBUG when they are loaded.
vi.hoisted(() => {
  process.env.DEBUG = "*";
});

const PEPPER = {
  current: "v2",
  keys: { v1: "an-older-pepper-of-these-tests-0123", v2: "the-pepper-of-these-tests-abcdef0123" },
  unpeppered: true,
};
const TIMEOUT_MS = 600_000;
const canary = format.generate("live");

const output = capturedOutput();
const logs: Record<string, string[]> = {};
const errors = new Set<string>();
const results = new Set<string>();
const responses = new Set<string>();
const onError = (error: unknown): void => {
  errors.add(printed(error));
};
const all = everyObserver(onError);
const watch = { observers: all.observers, pepper: PEPPER, onError };

const onResponse = (response: RawResponse): void =>
  void responses.add([response.statusLine, ...response.lines, "", response.body].join("\n"));

/** Removes the expected number of lookups, which is higher with a pepper. */
function withoutLookups(attack: Attack): Attack {
  if (attack.expected.kind !== "deny") return attack;
  const { lookups: _, ...expected } = attack.expected;
  return { ...attack, expected };
}

const guards = setups.filter(({ name }) =>
  ["Express", "Fastify", "Hono on Node", "node:http"].includes(name),
);
const started: Target[] = [];
/** The outputs after the catalogue. */
let written: Readonly<Record<string, readonly string[]>>;

beforeAll(async () => {
  await Promise.all([...guards.map(attackAll), directly()]);
  await all.flush();
  written = await sinks();
}, TIMEOUT_MS);

/** Runs the catalogue against a guard with its own log. */
async function attackAll({ name, start }: (typeof guards)[number]): Promise<void> {
  const lines: string[] = [];
  logs[name] = lines;
  const log = (line: string) => void lines.push(line);
  const guard = {
    onError(error: unknown) {
      onError(error);
      log(printed(error));
      console.error(error);
    },
  };
  const around = (verifier: AppOptions["verifier"]) => printing(verifier, results);
  const targets = await openTargets(start, { watch, guard, log, onResponse, around });
  started.push(...targets.values());
  for (const attack of attacks) {
    // The variant behind a proxy runs for one guard only, because the proxy adds the same to all.
    for (const [place, aimed] of name === "Fastify" ? variantsOf(attack) : variantsOf(attack).slice(0, 1))
      await (targets.get(place) as Target).attack(withoutLookups(aimed));
  }
}

afterAll(async () => {
  await all.close();
  await Promise.all(started.map((target) => target.close()));
  vi.restoreAllMocks();
});

/** Runs the catalogue without a server: on verifiers with the parsed head, and on handlers with a `Request`. */
async function directly(): Promise<void> {
  const verifiers = { good: verifierFor("x-forwarded-for", watch), broken: brokenVerifier(watch) };
  const handlers = { good: apiBehind("none", watch).handler, broken: brokenApi(watch).handler };
  for (const attack of attacks) {
    const kind = attack.broken ? "broken" : "good";
    try {
      results.add(printed(await verifiers[kind].verify(headOf(attack), "vehicles:read")));
    } catch (error) {
      onError(error);
    }
    if (attack.request.bytes !== undefined) continue;
    let request: Request;
    try {
      request = toFetchRequest(attack.request);
    } catch {
      continue; // such as a method that fetch forbids
    }
    const response = await handlers[kind](request, { remoteAddress: "127.0.0.1" });
    responses.add(`${response.status} ${printed([...response.headers])} ${await response.text()}`);
  }
}

function headOf({ request }: Attack): AuthRequest {
  const [line = "", ...lines] = (bytesOf(request).split("\r\n\r\n", 1)[0] as string).split("\r\n");
  const [method, path] = line.split(" ");
  const pairs = lines.map((each) => /^([^:]*):?[ \t]*(.*)$/s.exec(each)?.slice(1) as [string, string]);
  const headers = Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value]));
  return { headers, rawHeaders: pairs.flat(), method, path, remoteAddress: "127.0.0.1" };
}

/** Targets with a secret. The loggers of frameworks log the target of a request. */
const targetsSent = [
  ...new Set(
    attacks.map(({ request }) => bytesOf(request).split("\r\n", 1)[0]?.split(" ")[1] ?? "").filter(Boolean),
  ),
].filter((target) => /ezt_|token/.test(target));

function withoutTargets(text: string): string {
  return targetsSent.reduce((rest, target) => rest.replaceAll(target, "<the target>"), text);
}

/** Returns everything that was written, by output. */
async function sinks(): Promise<Record<string, readonly string[]>> {
  const { items } = await managedStore.list({ now: new Date(), limit: 1_000 });
  return {
    console: [...output.console],
    stdout: [...output.stdout],
    stderr: output.stderr.map(withoutTargets),
    warnings: [...output.warnings],
    ...Object.fromEntries(
      guards.map(({ name }) => [`log of ${name}`, logs[name]?.map(withoutTargets) ?? []]),
    ),
    errors: [...errors],
    results: [...results],
    responses: [...responses],
    events: [...all.events],
    spans: all.spans(),
    metrics: await all.metrics(),
    "audit trail": await all.trail(),
    keys: items.map(({ hash: _, ...key }) => printed(key)),
  };
}

describe("the catalogue with verbose logs", () => {
  test("no secret, hash or pepper is in an output, log, event, span, error or response", () => {
    const hidden = hiddenOfCatalogue(PEPPER);
    expect(hidden.length).toBeGreaterThan(1_000);
    const find = searchFor(hidden);
    const found = Object.entries(written).flatMap(([place, texts]) =>
      textsOf(texts)
        .flatMap(find)
        .map((name) => `${place}: ${name}`),
    );
    expect([...new Set(found)]).toEqual([]);
  });

  test("no output contains the error message of the database", () => {
    expect(LEAK).toContain("hunter2");
    for (const [place, texts] of Object.entries(written))
      expect(
        texts.some((text) => text.includes("hunter2")),
        place,
      ).toBe(false);
  });

  test("every output was used: the log of every guard, and the events, spans and errors of every outcome", () => {
    for (const { name } of guards) expect(written[`log of ${name}`]?.length).toBeGreaterThan(attacks.length);
    expect(written.events?.length).toBeGreaterThan(attacks.length * guards.length);
    expect(written.spans?.length).toBeGreaterThan(attacks.length * guards.length);
    for (const place of [
      "console",
      "stderr",
      "errors",
      "results",
      "responses",
      "metrics",
      "audit trail",
      "keys",
    ])
      expect(written[place]?.length, place).toBeGreaterThan(0);
    expect([...all.types]).toEqual(expect.arrayContaining(["auth.allowed", "auth.denied", "auth.failed"]));
    expect(written.stderr?.join("")).toMatch(/express|router|send/);
    expect(written.errors?.join("")).toContain("KEYBEARER_STORE_ERROR");
  });

  test("the search finds a secret in each of these outputs", async () => {
    const find = searchFor(secretAndHashes("canary", canary));
    expect(Object.values(written).flatMap(textsOf).flatMap(find)).toEqual([]);

    console.log({ deep: { secret: canary } });
    process.stdout.write(canary);
    process.stderr.write(Buffer.from(canary));
    process.emitWarning(canary);
    onError(new Error("x", { cause: canary }));
    for (const observer of all.observers) observer(allowed(canary));
    await all.flush();
    all.meter.createCounter("canary").add(1, { secret: canary });
    const issued = await apiBehind("none").issue({ name: canary });
    expect(issued.key.name).toBe(canary);
    for (const { name, start } of guards) {
      const log = (line: string) => void logs[name]?.push(line);
      const app = await start({ verifier: printing(verifierFor("none", watch), results), log });
      // The response has the request id, and the log has the target.
      const response = await app.request({ target: `/vehicles?q=${canary}`, requestId: canary });
      onResponse(response as RawResponse);
      await app.close();
    }
    results.add(printed({ ok: true, principal: { id: canary } }));

    for (const [place, texts] of Object.entries(await sinks())) {
      const known = new Set(written[place]);
      expect(texts.filter((text) => !known.has(text)).flatMap(find), place).toContain("canary");
    }
  });
});
