import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { AuthRequest } from "../../../src/index.js";
import { format } from "../../unit/adapters/fixtures.js";
import { type AppOptions, setups } from "../../unit/adapters/frameworks.js";
import { type RawResponse, toFetchRequest } from "../../unit/adapters/raw.js";
import { allowed } from "../../unit/observers/fixtures.js";
import { type Attack, bytesOf } from "./attack.js";
import { attacks } from "./catalogue.js";

import { hiddenOfCatalogue, secretAndHashes } from "./hidden.js";
import { aims, openTargets } from "./runner.js";
import { printed, searchFor } from "./search.js";
import { capturedOutput, everyObserver, printing, textsOf } from "./sinks.js";
import type { Target } from "./target.js";
import { apiBehind, brokenApi, brokenVerifier, LEAK, managedStore, verifierFor } from "./world.js";

// The router of Express, its sender and Koa tell every step of theirs. Read when they are loaded.
vi.hoisted(() => {
  process.env.DEBUG = "*";
});

const PEPPER = {
  current: "v2",
  keys: { v1: "an-older-pepper-of-these-tests-0123", v2: "the-pepper-of-these-tests-abcdef0123" },
  unpeppered: true,
};
const PATIENCE_MS = 600_000;
const canary = format.generate("live");

const output = capturedOutput();
const logs: Record<string, string[]> = {};
const errors = new Set<string>();
const results = new Set<string>();
const answers = new Set<string>();
const onError = (error: unknown): void => {
  errors.add(printed(error));
};
const all = everyObserver(onError);
const watch = { observers: all.observers, pepper: PEPPER, onError };

const hear = (response: RawResponse): void =>
  void answers.add([response.statusLine, ...response.lines, "", response.body].join("\n"));

/** With a pepper there is more than one lookup, which is another test's business. */
function withoutLookups(attack: Attack): Attack {
  if (attack.expected.kind !== "deny") return attack;
  const { lookups: _, ...expected } = attack.expected;
  return { ...attack, expected };
}

const guards = setups.filter(({ name }) =>
  ["Express", "Fastify", "Hono on Node", "node:http"].includes(name),
);
const started: Target[] = [];
/** What everything had written when the catalogue was through. */
let written: Readonly<Record<string, readonly string[]>>;

beforeAll(async () => {
  await Promise.all([...guards.map(attackAll), directly()]);
  await all.flush();
  written = await sinks();
}, PATIENCE_MS);

/** Sends a guard everything, with a log of its own. */
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
  const targets = await openTargets(start, { watch, guard, log, hear, around });
  started.push(...targets.values());
  for (const attack of attacks) {
    // Behind a proxy once is enough: what it adds is the same for every guard.
    for (const [place, aimed] of name === "Fastify" ? aims(attack) : aims(attack).slice(0, 1))
      await (targets.get(place) as Target).attack(withoutLookups(aimed));
  }
}

afterAll(async () => {
  await all.close();
  await Promise.all(started.map((target) => target.close()));
  vi.restoreAllMocks();
});

/** The same without a server: the head as it is written, and what can be a `Request`. */
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
    answers.add(`${response.status} ${printed([...response.headers])} ${await response.text()}`);
  }
}

function headOf({ request }: Attack): AuthRequest {
  const [line = "", ...lines] = (bytesOf(request).split("\r\n\r\n", 1)[0] as string).split("\r\n");
  const [method, path] = line.split(" ");
  const pairs = lines.map((each) => /^([^:]*):?[ \t]*(.*)$/s.exec(each)?.slice(1) as [string, string]);
  const headers = Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value]));
  return { headers, rawHeaders: pairs.flat(), method, path, remoteAddress: "127.0.0.1" };
}

/** What a client wrote into a URL, a logger of the host writes down; it cannot know better. */
const targetsSent = [
  ...new Set(
    attacks.map(({ request }) => bytesOf(request).split("\r\n", 1)[0]?.split(" ")[1] ?? "").filter(Boolean),
  ),
].filter((target) => /ezt_|token/.test(target));

function withoutTargets(text: string): string {
  return targetsSent.reduce((rest, target) => rest.replaceAll(target, "<the target>"), text);
}

/** Every place that something is written to, and all that was. */
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
    answers: [...answers],
    events: [...all.events],
    spans: all.spans(),
    metrics: await all.metrics(),
    "audit trail": await all.trail(),
    keys: items.map(({ hash: _, ...key }) => printed(key)),
  };
}

describe("the whole catalogue, with everything that logs at its most verbose", () => {
  test("no secret, hash or pepper is in an output, a log, an event, a span, an error or an answer", () => {
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

  test("nor is a word of what the database said", () => {
    expect(LEAK).toContain("hunter2");
    for (const [place, texts] of Object.entries(written))
      expect(
        texts.some((text) => text.includes("hunter2")),
        place,
      ).toBe(false);
  });

  test("all of it was written to: every guard's log, and the events, spans and errors of every outcome", () => {
    for (const { name } of guards) expect(written[`log of ${name}`]?.length).toBeGreaterThan(attacks.length);
    expect(written.events?.length).toBeGreaterThan(attacks.length * guards.length);
    expect(written.spans?.length).toBeGreaterThan(attacks.length * guards.length);
    for (const place of [
      "console",
      "stderr",
      "errors",
      "results",
      "answers",
      "metrics",
      "audit trail",
      "keys",
    ])
      expect(written[place]?.length, place).toBeGreaterThan(0);
    expect([...all.types]).toEqual(expect.arrayContaining(["auth.allowed", "auth.denied", "auth.failed"]));
    expect(written.stderr?.join("")).toMatch(/express|router|send/);
    expect(written.errors?.join("")).toContain("KEYBEARER_STORE_ERROR");
  });

  test("a secret that is put into any of these places is found there", async () => {
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
      // A request id is answered as it came, and a target is logged so.
      const response = await app.request({ target: `/vehicles?q=${canary}`, requestId: canary });
      hear(response as RawResponse);
      await app.close();
    }
    results.add(printed({ ok: true, principal: { id: canary } }));

    for (const [place, texts] of Object.entries(await sinks())) {
      const known = new Set(written[place]);
      expect(texts.filter((text) => !known.has(text)).flatMap(find), place).toContain("canary");
    }
  });
});
