import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { readExpiry, readJson, readRateLimit } from "../../src/cli/arguments.js";
import { escapeJson, escapeText } from "../../src/cli/escape.js";
import { createOutput } from "../../src/cli/output.js";
import { createProgram } from "../../src/cli/program.js";
import { type Line, readLines } from "../../src/cli/read-lines.js";
import { readDurationArgument } from "../../src/cli/session.js";

function program() {
  const nowhere = new Writable({ write: (_, __, done) => done() }) as unknown as NodeJS.WriteStream;
  const output = createOutput(nowhere, nowhere);
  return createProgram(
    { output, signal: new AbortController().signal, setExitCode: () => {}, setGrace: () => {} },
    "1.2.3",
  );
}

describe("arguments", () => {
  it("are read strictly, and not quoted in errors", () => {
    expect(readDurationArgument("--unused", "90d")).toBe(7_776_000_000);
    for (const text of ["90", "90 days", "0d", "-1d", "1y"]) {
      expect(() => readDurationArgument("--unused", text)).toThrow("--unused must be a duration");
    }
    expect(readRateLimit("600/1m")).toEqual({ limit: 600, windowSeconds: 60 });
    for (const text of ["600", "600/", "600/1", "600/1500ms", "/1m"]) {
      expect(() => readRateLimit(text)).toThrow("--rate-limit must be");
    }
    expect(() => readJson("--metadata", "{hunter2")).toThrow(/^--metadata must be JSON$/);
    expect(readExpiry("2030-01-31T12:00:00Z")).toBe("2030-01-31T12:00:00Z");
    expect(readExpiry("2030-01-31")).toBe("2030-01-31T00:00:00Z");
    expect(Number(readExpiry("1h")) - Date.now()).toBeGreaterThan(3_000_000);
  });

  it("are documented for every command, with an example", () => {
    const { commands } = program();
    expect(commands.map((command) => command.name())).toEqual([
      ...["init", "migrate", "create", "list", "inspect", "update", "rotate", "revoke", "disable", "enable"],
      ...["suspend-owner", "resume-owner", "verify", "audit", "stale", "import", "purge"],
      ...["scan", "scan-rules", "serve", "completion"],
    ]);
    for (const command of commands) {
      let text = "";
      command.configureOutput({
        writeOut: (part) => {
          text += part;
        },
      });
      command.outputHelp();
      expect(text).toMatch(new RegExp(`^Examples:\\n(.|\\n)*keybearer ${command.name()}`, "m"));
      for (const { description } of command.options) expect(description).not.toBe("");
    }
  });
});

describe("escapeText and escapeJson", () => {
  it.each([
    ["\u001b[31m", "\\u{1b}[31m"],
    ["\u009b31m", "\\u{9b}31m"],
    ["a\u202eb\u2066", "a\\u{202e}b\\u{2066}"],
    ["a\nb\rc\td\u007f", "a\\u{a}b\\u{d}c\\u{9}d\\u{7f}"],
    ["\u2028\u200b\u{e0041}\ud800", "\\u{2028}\\u{200b}\\u{e0041}\\u{d800}"],
    ["Zoë 名前 🚚", "Zoë 名前 🚚"],
  ])("escape what a terminal interprets: %j", (text, shown) => {
    expect(escapeText(text)).toBe(shown);
    const json = escapeJson({ [text]: [text] });
    expect(JSON.parse(json)).toEqual({ [text]: [text] });
    expect(escapeText(json.replaceAll("\n", ""))).toBe(json.replaceAll("\n", ""));
  });
});

describe("readLines", () => {
  async function split(...chunks: (string | Uint8Array)[]): Promise<Line[]> {
    async function* stream() {
      for (const chunk of chunks) yield typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    }
    const lines: Line[] = [];
    for await (const line of readLines(stream())) lines.push(line);
    return lines;
  }

  it("splits lines independently of the chunks", async () => {
    const text = "\ufeffone\ntwö\n\nfour";
    const bytes = Buffer.from(text);
    const whole = await split(text);
    expect(whole.map((line) => line.text)).toEqual(["one", "twö", "", "four"]);
    expect(whole.map(({ number }) => number)).toEqual([1, 2, 3, 4]);
    expect(whole.at(-1)?.end).toBe(bytes.length);
    for (let at = 1; at < bytes.length; at++) {
      expect(await split(bytes.subarray(0, at), bytes.subarray(at))).toEqual(whole);
    }
    expect((await split("one\n")).length).toBe(1);
    expect(await split()).toEqual([]);
  });

  it("yields lines that are too long or not UTF-8 without text", async () => {
    const long = "x".repeat(100_000);
    const lines = await split(long, long, long, "\nshort\n", Uint8Array.of(0xff, 0x0a), "last");
    expect(lines.map(({ text }) => text)).toEqual([undefined, "short", undefined, "last"]);
  });
});
