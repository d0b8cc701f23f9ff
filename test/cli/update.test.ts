import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "libsql";
import { expect, it } from "vitest";
import { done, freshPlace, json, run } from "./command.js";

const create = ["create", "--owner", "acme", "--scope", "vehicles:read"];

it("changes and removes each member of a key", async () => {
  const place = freshPlace();
  await done(place, ["migrate"]);
  const { key } = (await json(place, create)) as { key: { id: string } };
  const update = (...args: string[]) => json(place, ["update", key.id, ...args]);
  const set = ["--name", "CI", "--ip", "10.0.0.0/8", "::1", "--rate-limit", "5/1s", "--metadata", '{"a":1}'];
  expect(await update(...set, "--expires", "2100-01-31")).toMatchObject({
    key: {
      name: "CI",
      ipAllowlist: ["10.0.0.0/8", "::1"],
      rateLimit: { limit: 5, windowSeconds: 1 },
      metadata: { a: 1 },
      expiresAt: "2100-01-31T00:00:00.000Z",
    },
  });
  const removed = ["--name", "", "--ip", "any", "--rate-limit", "none", "--metadata", "none"];
  expect(await update(...removed, "--expires", "never")).toMatchObject({
    key: { name: null, ipAllowlist: null, rateLimit: null, metadata: null, expiresAt: null },
  });
  expect(await run(place, ["update", "none", "--name", "x"])).toMatchObject({ code: 3, stdout: "" });
});

it("refuses stale --unused while no use was recorded", async () => {
  const place = freshPlace();
  await done(place, ["migrate"]);
  expect(await json(place, ["stale"])).toEqual([]);
  await json(place, create);
  expect(await run(place, ["stale", "--unused", "1s", "--json"])).toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringContaining("No use of any key was recorded"),
  });
  expect(await json(place, ["stale", "--older", "1d"])).toEqual([]);
  const database = new Database(place.url.slice("sqlite:".length));
  database.exec("update keybearer_keys set last_used_at = 1, created_at = 1");
  database.close();
  expect(await json(place, ["stale"])).toHaveLength(1);
});

it("prints completions that bash runs", async () => {
  const place = freshPlace();
  const file = join(place.folder, "completion.bash");
  writeFileSync(file, await done(place, ["completion", "bash"]));
  const complete = (...words: string[]) => {
    const line = `source ${file}; COMP_WORDS=(${words.map((word) => `"${word}"`).join(" ")}); COMP_CWORD=${words.length - 1}`;
    const shown = execFileSync("bash", ["-c", `${line}; _keybearer; echo "\${COMPREPLY[@]}"`], {
      encoding: "utf8",
    });
    return shown.trim().split(" ");
  };
  expect(complete("keybearer", "re")).toEqual(["revoke"]);
  expect(complete("keybearer", "list", "--st")).toEqual(["--status"]);
  expect(complete("keybearer", "list", "--status", "re")).toEqual(["revoked", "retiring"]);
  expect(complete("keybearer", "completion", "")).toContain("fish");
  expect(await done(place, ["completion", "zsh"])).toMatch(/^autoload -U \+X bashcompinit && bashcompinit\n/);
  expect(await done(place, ["completion", "fish"])).toMatch(/^complete -c keybearer .* -a revoke /m);
});
