import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { freshPlace, type Place, run } from "./command.js";

let place: Place & { url: string };
let secret: string;
let id: string;

const write = (name: string, content: string | Buffer) => writeFileSync(join(place.folder, name), content);
const git = (...args: string[]) =>
  execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@example.com", ...args], {
    cwd: place.folder,
    encoding: "utf8",
  });
const commit = (message: string) => {
  git("add", "-A");
  git("commit", "-qm", message);
  return git("rev-parse", "HEAD").trim();
};
const rowsOf = (stdout: string) => JSON.parse(stdout) as Record<string, unknown>[];
const create = async () => {
  const { stdout } = await run(place, ["create", "--owner", "acme", "--scope", "vehicles:read", "--json"]);
  const { secret, key } = JSON.parse(stdout) as { secret: string; key: { id: string } };
  return [secret, key.id] as const;
};

beforeEach(async () => {
  place = freshPlace();
  await run(place, ["migrate"]);
  [secret, id] = await create();
});

describe("scan", () => {
  it("names the place of a live secret, never the secret, and exits with 1", async () => {
    mkdirSync(join(place.folder, "src"));
    write("src/app.env", `# settings\nKEY=${secret}\n`);
    const { code, stdout, stderr } = await run(place, ["scan", "--json"]);
    expect(code).toBe(1);
    expect(rowsOf(stdout)).toEqual([
      {
        status: "active",
        file: "src/app.env",
        line: 2,
        commit: null,
        start: secret.slice(0, 13),
        keyId: id,
        ownerId: "acme",
      },
    ]);
    const table = await run(place, ["scan", "src"]);
    expect(table.stdout).toMatch(
      /^STATUS +KEY +OWNER +START +PLACE\nactive +key_\w+ +acme +\S+ +src\/app\.env:2\n$/,
    );
    for (const text of [stdout, stderr, table.stdout, table.stderr]) expect(text).not.toContain(secret);
  });

  it("exits with 0 for dead and unknown secrets, and for none", async () => {
    write("a.txt", "nothing here");
    expect(await run(place, ["scan"])).toMatchObject({ code: 0, stdout: "", stderr: "No secrets.\n" });
    await run(place, ["revoke", id]);
    const other = freshPlace();
    await run(other, ["migrate"]);
    const { stdout: unknown } = await run(other, ["create", "--owner", "b", "--scope", "vehicles:read"]);
    write("a.txt", `${secret} ${unknown}`);
    const { code, stdout } = await run(place, ["scan", "--json"]);
    expect([code, rowsOf(stdout).map(({ status }) => status)]).toEqual([0, ["revoked", "unknown"]]);
  });

  it("revokes live keys with --revoke, and keeps the place", async () => {
    write("a.txt", `${secret}\n${secret}`);
    const { code, stderr } = await run(place, ["scan", "a.txt", "--revoke"]);
    expect([code, stderr]).toEqual([1, `${id} is revoked.\n`]);
    const { stdout } = await run(place, ["audit", id, "--json"]);
    expect(rowsOf(stdout)[0]).toMatchObject({
      action: "revoked",
      details: { reason: "leaked", leak: { source: "scan", type: "file", url: "a.txt:2" } },
    });
    expect((await run(place, ["scan", "--revoke"])).code).toBe(0);
  });

  it("reads stdin, and needs no store with --offline", async () => {
    const offline = { folder: place.folder };
    const { code, stdout } = await run(offline, ["scan", "--offline", "--json", "-"], {
      input: `a\n${secret}`,
    });
    expect([code, rowsOf(stdout)]).toMatchObject([1, [{ status: "unchecked", file: "stdin", line: 2 }]]);
    expect((await run(offline, ["scan", "--offline", "-"], { input: "a" })).code).toBe(0);
    expect((await run(offline, ["scan", "--offline", "--revoke"])).code).toBe(2);
  });

  it("reads the files that Git does not ignore, and follows no links", async () => {
    git("init", "-q");
    write(".gitignore", "ignored.txt\n");
    write("ignored.txt", secret);
    write("untracked.txt", secret);
    write("gone.txt", "");
    symlinkSync("ignored.txt", join(place.folder, "link.txt"));
    git("add", "gone.txt", "link.txt");
    rmSync(join(place.folder, "gone.txt"));
    const { stdout, stderr } = await run(place, ["scan", "--json"]);
    expect(rowsOf(stdout).map(({ file }) => file)).toEqual(["untracked.txt"]);
    expect(stderr).toBe("gone.txt cannot be read and was skipped.\n");
  });

  it("finds secrets in binary files, and beyond 64 KiB, in little memory", async () => {
    const noise = Buffer.alloc(50 * 1_024 ** 2, "x");
    write("large.bin", Buffer.concat([Buffer.from([0, 255, 10]), noise, Buffer.from(`\n${secret}`)]));
    const env = { NODE_OPTIONS: "--max-old-space-size=48" };
    const { code, stdout } = await run(place, ["scan", "--json"], { env });
    expect([code, rowsOf(stdout)]).toMatchObject([1, [{ file: "large.bin", line: 3 }]]);
  });

  it("finds with --git what was removed, on any branch, and in messages", async () => {
    const [other, otherId] = await create();
    git("init", "-q", "-b", "main");
    write("a.txt", `one\ntwo\n`);
    commit("first");
    write("a.txt", `one\ntwo\nthree\nKEY=${secret}\n`);
    const added = commit("add a key");
    write("a.txt", "one\n");
    const removed = commit("remove the key");
    git("checkout", "-qb", "side");
    write("ä b.txt", "");
    const named = commit(`use ${other}`);
    git("checkout", "-q", "main");
    expect((await run(place, ["scan"])).code).toBe(0);
    const { code, stdout } = await run(place, ["scan", "--git", "--json"]);
    expect(code).toBe(1);
    const rows = rowsOf(stdout).map(({ keyId, commit: at, file, line }) => [keyId, at, file, line]);
    expect(rows).toContainEqual([id, added, "a.txt", 4]);
    expect(rows).toContainEqual([otherId, named, "message", 1]);
    expect(rows.map(([, at]) => at).sort()).toEqual([added, removed, named].sort());
  });

  it("rejects what cannot be read", async () => {
    for (const args of [["missing"], ["--git", "."]]) {
      const { code, stderr } = await run(place, ["scan", ...args]);
      expect([code, stderr]).toEqual([
        2,
        expect.stringMatching(/^keybearer: .* (?:cannot be read|not in a Git)/),
      ]);
    }
  });
});

describe("scan-rules", () => {
  it("prints rules for the formats of the configuration", async () => {
    const { code, stdout } = await run(place, ["scan-rules", "--for", "gitleaks"]);
    expect([code, stdout]).toEqual([
      0,
      `[[rules]]
id = "ezt-api-key"
description = "ezt API key"
regex = '''(ezt_(?:live|test)_[0-9A-Za-z]{38})'''
secretGroup = 1
keywords = ["ezt_"]
`,
    ]);
    expect((await run(place, ["scan-rules"])).code).toBe(2);
    expect((await run(place, ["scan-rules", "--for", "other"])).code).toBe(2);
  });
});
