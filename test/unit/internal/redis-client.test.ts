import { Redis } from "ioredis";
import { createClient } from "redis";
import { describe, expect, it } from "vitest";
import {
  ioRedisScripts,
  nodeRedisScripts,
  redisErrorCode,
  redisLibrary,
  redisScript,
  runScript,
} from "../../../src/internal/redis-client.js";

describe("redisLibrary", () => {
  it("recognizes clients of node-redis and ioredis", () => {
    expect(redisLibrary(createClient())).toBe("node-redis");
    expect(redisLibrary(new Redis({ lazyConnect: true }))).toBe("ioredis");
  });

  it("returns undefined for anything else", () => {
    const nodeRedis3 = { on() {}, eval() {}, evalsha() {} };
    const pipeline = new Redis({ lazyConnect: true }).pipeline();
    for (const other of [undefined, null, {}, "redis://", nodeRedis3, createClient().multi(), pipeline]) {
      expect(redisLibrary(other)).toBeUndefined();
    }
  });
});

describe("runScript", () => {
  const script = redisScript("return 1");
  const commands = (evalSha: () => unknown) => {
    const calls: unknown[][] = [];
    return {
      calls,
      evalSha: (...args: unknown[]) => {
        calls.push(["evalSha", ...args]);
        return evalSha();
      },
      eval: async (...args: unknown[]) => {
        calls.push(["eval", ...args]);
        return "evaluated";
      },
    };
  };

  it("hashes the text with SHA-1", () => {
    expect(script.sha1).toBe("e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
  });

  it("sends the SHA-1 only if Redis has the script", async () => {
    const cached = commands(async () => "cached");
    expect(await runScript(cached, script, ["a"], ["b"])).toBe("cached");
    expect(cached.calls).toEqual([["evalSha", script.sha1, ["a"], ["b"]]]);
  });

  it("sends the text after NOSCRIPT", async () => {
    const missing = commands(() => Promise.reject(new Error("NOSCRIPT No matching script.")));
    expect(await runScript(missing, script, ["a"], ["b"])).toBe("evaluated");
    expect(missing.calls[1]).toEqual(["eval", "return 1", ["a"], ["b"]]);
  });

  it("does not repeat the script after any other error", async () => {
    const failing = commands(() => Promise.reject(new Error("WRONGTYPE NOSCRIPT")));
    await expect(runScript(failing, script, [], [])).rejects.toThrow("WRONGTYPE");
    expect(failing.calls).toHaveLength(1);
  });

  it("passes keys and arguments in the form of each library", async () => {
    const calls: unknown[][] = [];
    const record = async (...args: unknown[]) => void calls.push(args);
    const nodeRedis = nodeRedisScripts({ evalSha: record, eval: record });
    const ioRedis = ioRedisScripts({ evalsha: record, eval: record });
    for (const { evalSha, eval: evaluate } of [nodeRedis, ioRedis]) {
      await evalSha("sha1", ["k"], ["a", "b"]);
      await evaluate("text", ["k"], ["a", "b"]);
    }
    expect(calls).toEqual([
      ["sha1", { keys: ["k"], arguments: ["a", "b"] }],
      ["text", { keys: ["k"], arguments: ["a", "b"] }],
      ["sha1", 1, "k", "a", "b"],
      ["text", 1, "k", "a", "b"],
    ]);
  });
});

describe("redisErrorCode", () => {
  it.each([
    [Object.assign(new Error("connect"), { code: "ECONNREFUSED" }), "ECONNREFUSED"],
    [new Error("WRONGTYPE Operation against a key"), "WRONGTYPE"],
    [new Error("READONLY"), "READONLY"],
    [new Error("Connection is closed."), undefined],
    ["WRONGTYPE", undefined],
    [undefined, undefined],
  ])("of %s is %s", (error, code) => {
    expect(redisErrorCode(error)).toBe(code);
  });
});
