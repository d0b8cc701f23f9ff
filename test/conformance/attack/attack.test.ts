import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { bearer, check, pass } from "../../contract/guards/case.js";
import { cases } from "../../contract/guards/cases.js";
import { secrets, UPSTREAMS } from "../../unit/adapters/fixtures.js";
import { setups } from "../../unit/adapters/frameworks.js";
import { type Attack, bytesOf, GROUPS } from "./attack.js";
import { attacks } from "./catalogue.js";
import { openTargets, variantsOf } from "./runner.js";
import type { Target } from "./target.js";
import { managedState } from "./world.js";

const guards = setups.filter(({ wire }) => wire);
const targets = new Map<string, Target>();
const passed = new Map<string, number>();
const faults: unknown[] = [];
const note = (fault: unknown) => void faults.push(fault);
let before: string;

beforeAll(async () => {
  vi.spyOn(console, "error").mockImplementation(() => {}); // Express prints the errors of handlers
  process.on("unhandledRejection", note).on("uncaughtException", note);
  before = await managedState();
  for (const { name, start } of guards) {
    for (const [place, target] of await openTargets(start)) targets.set(`${name} ${place}`, target);
  }
});

afterAll(async () => {
  await Promise.all([...targets.values()].map((target) => target.close()));
  process.off("unhandledRejection", note).off("uncaughtException", note);
  vi.restoreAllMocks();
  const rows = GROUPS.map((group) => {
    const cases = attacks.filter((attack) => attack.group === group).length;
    return `${group.padEnd(12)}${String(cases).padStart(6)}${String(guards.length).padStart(8)}${String(passed.get(group) ?? 0).padStart(8)}`;
  });
  const sum = [...passed.values()].reduce((total, count) => total + count, 0);
  console.log(
    [
      `group        cases  guards  passed`,
      ...rows,
      `${"all".padEnd(12)}${String(attacks.length).padStart(6)}${String(guards.length).padStart(8)}${String(sum).padStart(8)}`,
    ].join("\n"),
  );
});

describe("the catalogue", () => {
  test("has at least 200 attacks, without duplicates and without cases of the guard contract", () => {
    expect(attacks.length).toBeGreaterThanOrEqual(200);
    expect(new Set(attacks.map(({ id }) => id)).size).toBe(attacks.length);
    const titles = attacks.map(({ group, title }) => `${group}: ${title}`);
    expect(titles.filter((title, index) => titles.indexOf(title) !== index)).toEqual([]);
    const written = (entry: Pick<Attack, "request" | "behind" | "broken" | "traffic">) =>
      JSON.stringify([
        bytesOf(entry.request),
        entry.behind ?? "none",
        entry.broken,
        entry.traffic,
        String(entry.traffic?.bytesOf),
      ]);
    const others = cases.map(({ request, behind }) => written({ request, ...(behind && { behind }) }));
    const seen = new Set(others);
    const twice = attacks.filter((attack) => seen.size === seen.add(written(attack)).size);
    expect(twice.map(({ id }) => id)).toEqual([]);
  });

  test("has a valid source for each attack", () => {
    const known = /^(RFC \d{4}, \d+(\.\d+)*|CVE-\d{4}-\d{4,5}|CWE-\d{2,4}|OWASP API\d{1,2}:2023)$/;
    expect(
      attacks.filter(({ source }) => !known.test(source)).map(({ id, source }) => `${id} ${source}`),
    ).toEqual([]);
    expect(GROUPS.filter((group) => !attacks.some((attack) => attack.group === group))).toEqual([]);
  });
});

describe.each(guards)("$name", ({ name }) => {
  describe.each(GROUPS)("%s", (group) => {
    const own = attacks.filter((attack) => attack.group === group);
    test.each(own.map((attack) => [attack.id, attack.title, attack] as const))(
      "%s: %s",
      async (_id, _title, attack) => {
        for (const [where, aimed] of variantsOf(attack)) {
          await (targets.get(`${name} ${where}`) as Target).attack(aimed);
        }
        expect(faults).toEqual([]);
        passed.set(group, (passed.get(group) ?? 0) + 1);
      },
    );
  });

  test("no attack changed a key, and valid requests still succeed", async () => {
    expect(await managedState()).toBe(before);
    for (const upstream of UPSTREAMS) {
      const target = targets.get(`${name} ${upstream}`) as Target;
      const valid = { request: { headers: [bearer(secrets.writer)] }, expected: pass("writer"), id: "" };
      await check(valid, (request) => target.app.request(request));
    }
  });
});
