import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { GRACE_MS } from "./harness.js";
import type { Report } from "./process-child.js";

const CHILD = fileURLToPath(new URL("process-child.ts", import.meta.url));
// The time limits for the whole process, and for its exit after everything is closed.
const [MAX_MS, EXIT_MS] = [120_000, 10_000];

describe("a service process with hanging calls", () => {
  let report: Report;
  let exit: unknown;
  let errors = "";

  beforeAll(async () => {
    const child = spawn(process.execPath, ["--no-warnings", "--import", "tsx", CHILD]);
    const kill = () => child.kill("SIGKILL");
    const limits = [setTimeout(kill, MAX_MS)];
    child.stdout.once("data", () => limits.push(setTimeout(kill, EXIT_MS)));
    const [stdout, stderr, closed] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "close"),
    ]);
    for (const limit of limits) clearTimeout(limit);
    [exit, errors] = [closed, stderr];
    report = JSON.parse(stdout || "{}");
  });

  test("exits by itself after everything is closed, without output on stderr", () => {
    expect([exit, errors]).toEqual([[0, null], ""]);
  });

  test("responds within the time limit plus 50 ms, measured against a control timer", () => {
    const { measured } = report;
    expect(Object.keys(measured).length).toBeGreaterThan(15);
    for (const [name, { status, expected, delays, injected }] of Object.entries(measured)) {
      expect([name, status, injected > 0]).toEqual([name, expected, true]);
      // A busy machine may delay single responses. A real delay occurs in every round.
      expect(Math.min(...delays), name).toBeLessThanOrEqual(GRACE_MS);
    }
  });

  test("denies every invalid request", () => {
    expect(Object.keys(report.invalid).length).toBeGreaterThan(8);
    for (const [path, statuses] of Object.entries(report.invalid)) {
      for (const status of statuses) expect([401, 403, 503], path).toContain(status);
    }
  });

  test("leaves no timer, socket, listener or unhandled rejection", () => {
    expect(report.leaks).toEqual({ resources: [], timers: 0, listeners: 0 });
    expect(report.unhandled).toEqual([]);
  });
});
