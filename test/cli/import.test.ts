import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { done, ended, freshPlace, json, run, start } from "./command.js";

const LINES = 5_000;
const secretOf = (n: number) => `old-secret-number-${n}`;
const hashOf = (n: number) => createHash("sha256").update(secretOf(n)).digest("hex");
const lineOf = (n: number, more: object = {}) =>
  JSON.stringify({ ownerId: `owner-${n % 7}`, scopes: ["vehicles:read"], hash: hashOf(n), ...more });

// Bad lines by number: their text and the expected error.
const bad = new Map<number, readonly [text: string, problem: string]>([
  [17, ['{"secret":"do-not-repeat-me"', "the line is not JSON"]],
  [1_000, [lineOf(1, { hash: undefined }), 'import must have either "secret" or "hash"']],
  [2_001, [lineOf(2, { scopes: ["nope"] }), 'scopes[0] is not a defined scope: "nope"']],
  [2_002, [`{"name":"${"x".repeat(300_000)}"}`, "the line is too long or not UTF-8"]],
  [3_333, [lineOf(3, { colour: "red" }), "colour is not a known member"]],
  [4_999, [lineOf(4, { name: "\u001b[2J" }), "name must not contain control characters"]],
]);

const place = freshPlace();
const file = join(place.folder, "keys.ndjson");
const problemsIn = (stderr: string) => stderr.split("\n").filter((line) => line.startsWith("line "));

beforeAll(async () => {
  const lines = Array.from({ length: LINES }, (_, index) => bad.get(index + 1)?.[0] ?? lineOf(index + 1));
  lines.splice(4_500, 0, ""); // counted and ignored
  bad.set(5_000, bad.get(4_999) as never);
  bad.delete(4_999);
  writeFileSync(file, `\ufeff${lines.join("\r\n")}`);
  await done(place, ["migrate"]);
});

describe("import", () => {
  it("imports 5,000 lines once, and reports bad ones", async () => {
    const good = LINES - bad.size;
    const dry = await run(place, ["import", file, "--dry-run", "--json"]);
    expect(JSON.parse(dry.stdout)).toEqual({ imported: good, skipped: 0, failed: bad.size, dryRun: true });

    const first = await run(place, ["import", file, "--json"]);
    expect(first.code).toBe(1);
    expect(JSON.parse(first.stdout)).toEqual({ imported: good, skipped: 0, failed: bad.size, dryRun: false });
    const problems = problemsIn(first.stderr);
    expect(problems).toHaveLength(bad.size);
    for (const [number, [, problem]] of bad) {
      expect(problems.find((line) => line.startsWith(`line ${number}: `))).toContain(problem);
    }
    expect(problemsIn(dry.stderr)).toEqual(problems);
    for (const text of ["do-not-repeat-me", "\u001b", "old-secret"]) expect(first.stderr).not.toContain(text);

    const again = await run(place, ["import", "--json"], {
      input: `${lineOf(5)}\n${lineOf(1)}\n${lineOf(9_999)}`,
    });
    expect(JSON.parse(again.stdout)).toEqual({ imported: 1, skipped: 2, failed: 0, dryRun: false });
    expect(again.code).toBe(0);
  });

  it("lists all imported keys, and exits with 0 if the reader closes the output", async () => {
    const keys = (await json(place, ["list", "--all"])) as { id: string; ownerId: string }[];
    const good = LINES - bad.size + 1;
    expect(new Set(keys.map(({ id }) => id)).size).toBe(good);
    expect((await run(place, ["list", "--limit", "201"])).stderr).toContain("--all");
    const table = (await done(place, ["list", "--all", "--owner", "owner-3"])).trimEnd().split("\n");
    expect(table).toHaveLength(1 + keys.filter(({ ownerId }) => ownerId === "owner-3").length);
    expect(new Set(table.map((line) => line.indexOf("vehicles:read"))).size).toBe(2); // the header and the rows

    const child = start(place, ["list", "--all", "--json"]);
    child.stdin.end();
    child.stdout.once("data", () => child.stdout.destroy());
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    expect(await new Promise((resolve) => child.on("close", resolve))).toBe(0);
    expect(stderr).toBe("");
  });

  it("skips duplicate lines of one owner, and rejects keys of another owner", async () => {
    const own = freshPlace();
    await done(own, ["migrate"]);
    const lines = [
      lineOf(1),
      lineOf(1),
      JSON.stringify({ ownerId: "owner-1", scopes: [], secret: secretOf(1) }),
      lineOf(2, { id: "two" }),
      lineOf(3, { id: "two" }),
      JSON.stringify({ ownerId: "evil", scopes: [], secret: secretOf(1) }),
      lineOf(2, { ownerId: "evil" }),
    ];
    const result = await run(own, ["import", "-", "--json"], { input: lines.join("\n") });
    expect(JSON.parse(result.stdout)).toEqual({ imported: 2, skipped: 2, failed: 3, dryRun: false });
    expect(problemsIn(result.stderr)).toEqual([
      "line 5: id belongs to a key of another owner",
      "line 6: secret belongs to a key of another owner",
      "line 7: hash belongs to a key of another owner",
    ]);
    expect(result.code).toBe(1);
  });

  it("reports what is imported when it is interrupted", async () => {
    const own = freshPlace();
    await done(own, ["migrate"]);
    const child = start(own, ["import"]);
    const result = ended(child);
    child.stdin.on("error", () => {});
    child.stdin.write(`${Array.from({ length: 40 }, (_, n) => lineOf(n)).join("\n")}\n`);
    // Stdin stays open, so only the signal ends the command.
    while ((await run(own, ["list", "--json"])).stdout === "[]\n");
    child.kill("SIGINT");
    expect(await result).toMatchObject({
      code: 130,
      stderr: expect.stringMatching(/^40 imported, 0 skipped, 0 failed\. Not all lines were read/),
    });
  });

  it("rejects secrets as arguments and does not print them", async () => {
    const missing = await run(place, ["import", secretOf(1)]);
    expect(missing).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("ENOENT") });
    expect(missing.stderr).not.toContain(secretOf(1));
    const two = await run(place, ["import", file, secretOf(1)]);
    expect(two).toMatchObject({ code: 2, stderr: expect.stringContaining("must not be an argument") });
    expect(two.stderr).not.toContain(secretOf(1));
  });
});
