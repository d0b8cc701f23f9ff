import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const index = new URL("../../../src/observers/index.ts", import.meta.url).href;
const cwd = fileURLToPath(new URL("../../..", import.meta.url));

/** Runs a script in its own process and returns its output. */
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
  it.each([
    ["responds", "{}"],
    ["fails", '{ throw new Error("down"); }'],
    ["hangs", "{ return new Promise(() => {}); }"],
  ])("exits by itself if the store %s", async (_, body) => {
    const startedAt = performance.now();
    const printed = await run(`
      const open = ${make}({ ${method}() ${body} }, { interval: "600000ms" });
      open.observer(event());
      const busy = ${make}({ ${method}() ${body} }, { interval: "1ms", storeTimeout: "600000ms" });
      busy.observer(event());
      setTimeout(() => process.stdout.write("made"), 50);`);
    expect(printed).toBe("made");
    expect(performance.now() - startedAt).toBeLessThan(150_000);
  });

  it("writes everything on close and exits", async () => {
    const printed = await run(`
      let written = 0;
      const slow = (batch) => new Promise((done) => setTimeout(() => { written += batch.size ?? batch.length; done(); }, 20));
      const open = ${make}({ ${method}: slow }, { interval: "60000ms" });
      for (let i = 0; i < 3_000; i++) open.observer(event({ keyId: "key_" + i }));
      await open.close();
      process.stdout.write(String(written));`);
    expect(printed).toBe("3000");
  });

  it.each([
    ["responds", "{}", "written"],
    ["responds later", "{ return new Promise((done) => setTimeout(done, 50)); }", "written"],
    ["fails", '{ throw new Error("down"); }', "Error"],
    ["fails later", "{ return new Promise((_, fail) => setTimeout(fail, 50, new Error())); }", "Error"],
  ])("writes what is pending once when it ends by itself, and the store %s", async (_, body, expected) => {
    const printed = await run(`
      const write = async () => ${body};
      const open = ${make}({ async ${method}(batch) { await write(); console.log("written", batch.size ?? batch.length); } },
        { interval: "600000ms", onError: (error) => console.log(error.name) });
      for (const keyId of ["key_1", "key_2"]) open.observer(event({ keyId }));`);
    expect(printed).toBe(expected === "written" ? "written 2\n" : `${expected}\n`);
  });

  it("does not end by a signal handler that ignores a failed close()", async () => {
    const printed = await run(`
      const open = ${make}({ ${method}() { throw new Error("down"); } }, { closeTimeout: "50ms" });
      process.once("SIGTERM", () => open.close());
      process.on("warning", ({ code }) => console.log(code));
      open.observer(event());
      process.kill(process.pid, "SIGTERM");
      setTimeout(() => console.log("alive"), 1_000);`);
    expect(printed).toBe("KEYBEARER_UNWRITTEN\nalive\n");
  });

  it("loses at most the events of a second in a crash", async () => {
    // Prints how old the oldest event is that is not written, and kills itself.
    const printed = await run(`
      const pending = new Map();
      const open = ${make}({ ${method}(batch) { for (const id of ids(batch)) pending.delete(id); } });
      const ids = (batch) => batch instanceof Map ? batch.keys() : batch.map(({ keyId }) => keyId);
      let count = 0;
      setInterval(() => {
        const keyId = "key_" + count++;
        pending.set(keyId, performance.now());
        open.observer(event({ keyId }));
        if (count < 250) return;
        const [oldest] = pending.values();
        process.stdout.write(String(performance.now() - oldest), () => process.kill(process.pid, "SIGKILL"));
      }, 10);`).catch((error: { signal: string; stdout: string }) => {
      expect(error.signal).toBe("SIGKILL");
      return error.stdout;
    });
    expect(Number(printed)).toBeLessThan(1_500); // a second, and the delay of a timer on a busy machine
  });

  it("can be closed in bounded time if the store hangs", async () => {
    const printed = await run(`
      const open = ${make}({ ${method}: () => new Promise(() => {}) }, { closeTimeout: "200ms" });
      open.observer(event());
      await open.close().catch((error) => process.stdout.write(error.name));`);
    expect(printed).toBe("StoreError");
  });

  // Unbounded, the ids or the original strings of truncated paths would take hundreds of megabytes.
  it("has bounded memory with a million keys and a hung store", async () => {
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
