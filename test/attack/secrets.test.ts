import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { AuthRequest, KeyEvent } from "../../src/index.js";
import { bearer } from "../adapters/case.js";
import { format, secrets } from "../adapters/fixtures.js";
import { setups } from "../adapters/frameworks.js";
import { type RawResponse, toFetchRequest } from "../adapters/raw.js";
import { type Attack, bytesOf } from "./attack.js";
import { attacks } from "./catalogue.js";
import { hiddenOfCatalogue, secretAndHashes } from "./hidden.js";
import { aims, openTargets } from "./runner.js";
import { printed, searchFor } from "./search.js";
import { capturedOutput, everyObserver, printing, textsOf } from "./sinks.js";
import { openTarget, type Target } from "./target.js";
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
const canary = format.generate("live");

const output = capturedOutput();
const logs: Record<string, string[]> = {};
const errors: string[] = [];
const results: string[] = [];
const answers: string[] = [];
const onError = (error: unknown): void => {
  errors.push(printed(error));
};
const all = everyObserver(onError);
const watch = { observers: all.observers, pepper: PEPPER, onError };

const hear = (response: RawResponse): void =>
  void answers.push([response.statusLine, ...response.lines, "", response.body].join("\n"));

/** With a pepper there is more than one look-up, which is another test's business. */
function withoutLookups(attack: Attack): Attack {
  if (attack.expected.kind !== "deny") return attack;
  const { lookups: _, ...expected } = attack.expected;
  return { ...attack, expected };
}

const guards = setups.filter(({ wire }) => wire);
const started: Target[] = [];

beforeAll(async () => {
  for (const { name, start } of guards) {
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
    const around = (verifier: Parameters<typeof printing>[0]) => printing(verifier, results);
    const targets = await openTargets(start, { watch, guard, log, hear, around: around as never });
    started.push(...targets.values());
    for (const attack of attacks) {
      // Behind a proxy once is enough: what it adds is the same for every guard.
      for (const [place, aimed] of name === "Fastify" ? aims(attack) : aims(attack).slice(0, 1))
        await (targets.get(place) as Target).attack(withoutLookups(aimed));
    }
  }
  await directly();
  await all.close();
});

afterAll(async () => {
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
      results.push(printed(await verifiers[kind].verify(headOf(attack), "vehicles:read")));
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
    answers.push(`${response.status} ${printed([...response.headers])} ${await response.text()}`);
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

async function sinks(): Promise<Record<string, readonly string[]>> {
  return {
    ...output,
    stderr: textsOf(output.stderr).map(withoutTargets),
    ...Object.fromEntries(
      Object.entries(logs).map(([name, lines]) => [`log of ${name}`, textsOf(lines).map(withoutTargets)]),
    ),
    errors,
    results,
    answers,
    events: all.events,
    spans: all.spans(),
    metrics: await all.metrics(),
    "audit trail": await all.trail(),
    "keys that were managed": [
      printed(
        (await managedStore.list({ now: new Date(), limit: 1_000 })).items.map(
          ({ hash: _, ...rest }) => rest,
        ),
      ),
    ],
  };
}

describe("the whole catalogue, against every guard and without one, with everything that logs at its most verbose", () => {
  test("no secret, hash or pepper is in an output, a log, an event, a span, a metric, an error or an answer", async () => {
    const hidden = hiddenOfCatalogue(PEPPER);
    expect(hidden.length).toBeGreaterThan(1_000);
    const find = searchFor(hidden);
    const found: Record<string, readonly string[]> = {};
    for (const [name, texts] of Object.entries(await sinks())) {
      const hits = new Set(textsOf(texts).flatMap(find));
      if (hits.size > 0) found[name] = [...hits];
    }
    expect(found).toEqual({});
  });

  test("and no word of the database behind the store", async () => {
    for (const [name, texts] of Object.entries(await sinks()))
      expect(
        texts.some((text) => text.includes(LEAK) || text.includes("hunter2")),
        name,
      ).toBe(false);
  });

  test("every place that was searched was written to", async () => {
    const sizes = Object.entries(await sinks()).map(
      ([name, texts]) => [name, texts.join("").length] as const,
    );
    require("node:fs").writeFileSync("/tmp/sizes.json", JSON.stringify(sizes));
    const least = attacks.length * 50;
    for (const name of [...guards.map(({ name }) => `log of ${name}`), "answers", "events", "results"])
      expect(Object.fromEntries(sizes)[name], name).toBeGreaterThan(least);
    expect([...all.types].sort()).toEqual(
      expect.arrayContaining(["auth.allowed", "auth.denied", "auth.failed"]),
    );
    for (const [name, size] of sizes)
      if (!["stdout", "warnings"].includes(name)) expect(size, name).toBeGreaterThan(0);
  });

  test("a secret that is put there is found in each of them", async () => {
    const find = searchFor(secretAndHashes("canary", canary));
    const silent = [];
    for (const text of Object.values(await sinks()).flat()) silent.push(...find(text));
    expect(silent).toEqual([]);

    console.log({ deep: { secret: canary } });
    process.stdout.write(canary);
    process.stderr.write(Buffer.from(canary));
    process.emitWarning(canary);
    onError(new Error("x", { cause: canary }));
    const at = new Date();
    const identity = { keyId: canary, isKey: true, ownerId: "acme", environment: "live" };
    const facts = { at, requestId: "a", method: "GET", path: "/", clientIp: "::1", durationMs: 1 };
    const event: KeyEvent = {
      type: "auth.allowed",
      ...identity,
      ...facts,
      requiredScopes: [],
      audit: true,
      wouldDeny: [],
    };
    const again = everyObserver(onError);
    for (const observer of again.observers) observer(event);
    await again.close();
    all.tracer.startSpan("canary", { attributes: { "keybearer.key.id": canary } }).end();
    all.meter.createCounter("canary").add(1, { secret: canary });
    const planted = { type: "planted" } as unknown as never;
    expect(planted).toBeDefined();
    for (const { name, start } of guards) {
      const lines: string[] = [];
      const verifier = printing(verifierFor("none", watch), results);
      const app = await start({ verifier, log: (line) => void lines.push(line) });
      const target = openTarget(app, hear);
      await target.app.request({ target: `/vehicles?q=${canary}`, headers: [bearer(secrets.reader)] });
      await target.close();
      expect(lines.flatMap(find), name).toContain("canary");
    }
  });
});
