import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

const index = new URL("../../../src/observers/index.ts", import.meta.url).href;
const cwd = fileURLToPath(new URL("../../..", import.meta.url));

/** Runs a script in a process of its own, and answers what it printed. */
async function run(script: string, ...flags: string[]): Promise<string> {
  const event = `{ type: "auth.allowed", at: new Date(), keyId: "key_1", ownerId: "acme", environment: "live",
    requestId: "r", method: "GET", path: "/", clientIp: "192.0.2.7", requiredScopes: [], audit: true, durationMs: 1 }`;
  const head = `import { auditLog, lastUsed } from ${JSON.stringify(index)};
    const event = (more) => ({ ...${event}, ...more });\n`;
  const args = [...flags, "--import", "tsx", "--input-type=module", "--eval", head + script];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, timeout: 150_000 });
  return stdout;
}

describe.each([
  ["lastUsed", "touch"],
  ["auditLog", "appendAudit"],
])("a process with an open %s", (make, method) => {
  test.each([
    ["answers", "{}"],
    ["fails", '{ throw new Error("down"); }'],
    ["hangs", "{ return new Promise(() => {}); }"],
  ])("ends by itself, though its store %s", async (_, body) => {
    const began = performance.now();
    const printed = await run(`
      const open = ${make}({ ${method}() ${body} }, { interval: "600000ms" });
      open.observer(event());
      const busy = ${make}({ ${method}() ${body} }, { interval: "1ms", storeTimeout: "600000ms" });
      busy.observer(event());
      setTimeout(() => process.stdout.write("made"), 50);`);
    expect(printed).toBe("made");
    expect(performance.now() - began).toBeLessThan(150_000);
  });

  test("has written everything when it was closed, and ends", async () => {
    const printed = await run(`
      let written = 0;
      const slow = (batch) => new Promise((done) => setTimeout(() => { written += batch.size ?? batch.length; done(); }, 20));
      const open = ${make}({ ${method}: slow }, { interval: "60000ms" });
      for (let i = 0; i < 3_000; i++) open.observer(event({ keyId: "key_" + i }));
      await open.close();
      process.stdout.write(String(written));`);
    expect(printed).toBe("3000");
  });

  test("whose store hangs can be closed in bounded time", async () => {
    const printed = await run(`
      const open = ${make}({ ${method}: () => new Promise(() => {}) }, { closeTimeout: "200ms" });
      open.observer(event());
      await open.close().catch((error) => process.stdout.write(error.name));`);
    expect(printed).toBe("StoreError");
  });

  // Without bounds this is some hundred megabytes: of ids, or of the long texts that paths are cut from.
  test("lives in little memory through a million keys and a store that hangs", async () => {
    const printed = await run(
      `
      const open = ${make}({ ${method}: () => new Promise(() => {}) }, { interval: "1ms", storeTimeout: "1ms" });
      for (let i = 0; i < 1_000_000; i++) {
        const path = i < 20_000 ? ("/" + i + "/").padEnd(20_000, "x").slice(0, 15_000) : "/";
        open.observer(event({ keyId: "key_" + i, path }));
        if (i % 10_000 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
      }
      process.stdout.write("alive");`,
      "--max-old-space-size=96",
    );
    expect(printed).toBe("alive");
  });
});
