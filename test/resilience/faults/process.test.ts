import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { GRACE_MS } from "./harness.js";
import type { Report } from "./process-child.js";

const CHILD = fileURLToPath(new URL("process-child.ts", import.meta.url));
// For all of it, and for the end once everything is closed.
const [MAX_MS, EXIT_MS] = [120_000, 10_000];

describe("a process in which parts of a service hang", () => {
  let report: Report;
  let exit: unknown;
  let errors = "";

  beforeAll(async () => {
    const child = spawn(process.execPath, ["--no-warnings", "--import", "tsx", CHILD]);
    const end = () => child.kill("SIGKILL");
    const limits = [setTimeout(end, MAX_MS)];
    child.stdout.once("data", () => limits.push(setTimeout(end, EXIT_MS)));
    const [said, complaints, closed] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "close"),
    ]);
    for (const limit of limits) clearTimeout(limit);
    [exit, errors] = [closed, complaints];
    report = JSON.parse(said || "{}");
  });

  test("ends by itself once everything is closed, without a complaint", () => {
    expect([exit, errors]).toEqual([[0, null], ""]);
  });

  test("answers within the time limit and 50 ms, measured against a control that just waits", () => {
    const { measured } = report;
    expect(Object.keys(measured).length).toBeGreaterThan(15);
    for (const [name, { status, expected, late, injected }] of Object.entries(measured)) {
      expect([name, status, injected > 0]).toEqual([name, expected, true]);
      // The machine may hold up any answer behind its control; who is late by design is late in every round.
      expect(Math.min(...late), name).toBeLessThanOrEqual(GRACE_MS);
    }
  });

  test("lets nobody in who should not be", () => {
    expect(Object.keys(report.wrong).length).toBeGreaterThan(8);
    for (const [path, statuses] of Object.entries(report.wrong)) {
      for (const status of statuses) expect([401, 403, 503], path).toContain(status);
    }
  });

  test("leaves no timer, socket, listener or rejection behind", () => {
    expect(report.left).toEqual({ resources: [], timers: 0, listeners: 0 });
    expect(report.unhandled).toEqual([]);
  });
});
