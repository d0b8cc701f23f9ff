import { EventEmitter } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it, vi } from "vitest";
import { warn, warnOnce, warnWithoutErrorListener } from "../../../src/internal/warn.js";

afterEach(() => vi.restoreAllMocks());

const spyOnWarnings = () => vi.spyOn(process, "emitWarning").mockImplementation(() => {});

describe("warn", () => {
  it("emits a process warning with a type and a code", () => {
    const emit = spyOnWarnings();
    warn("KEYBEARER_TEST", "text");
    expect(emit).toHaveBeenCalledExactlyOnceWith("text", {
      type: "KeybearerWarning",
      code: "KEYBEARER_TEST",
    });
  });

  it("does nothing in a runtime without process warnings", () => {
    const { process } = globalThis;
    try {
      for (const other of [undefined, {}]) {
        Object.defineProperty(globalThis, "process", { value: other, configurable: true, writable: true });
        expect(() => warn("KEYBEARER_TEST", "text")).not.toThrow();
      }
    } finally {
      Object.defineProperty(globalThis, "process", { value: process, configurable: true, writable: true });
    }
  });
});

describe("warnOnce", () => {
  it("emits the warning of the first call only", () => {
    const emit = spyOnWarnings();
    const warning = warnOnce("KEYBEARER_TEST");
    expect(emit).not.toHaveBeenCalled();
    warning("first");
    warning("second");
    expect(emit).toHaveBeenCalledExactlyOnceWith("first", {
      type: "KeybearerWarning",
      code: "KEYBEARER_TEST",
    });
  });

  it("counts each function separately", () => {
    const emit = spyOnWarnings();
    for (const warning of [warnOnce("KEYBEARER_TEST"), warnOnce("KEYBEARER_TEST")]) warning("text");
    expect(emit).toHaveBeenCalledTimes(2);
  });
});

describe("warnWithoutErrorListener", () => {
  it("warns once for each client without a listener", async () => {
    const emit = spyOnWarnings();
    const client = new EventEmitter();
    for (const where of ["redisStore", "redisLimits"]) warnWithoutErrorListener(where, client);
    await sleep(5);
    expect(emit).toHaveBeenCalledExactlyOnceWith(
      expect.stringMatching(/^redisStore: the client has no "error"/),
      {
        type: "KeybearerWarning",
        code: "KEYBEARER_NO_ERROR_LISTENER",
      },
    );
    warnWithoutErrorListener("redisStore", new EventEmitter());
    await sleep(5);
    expect(emit).toHaveBeenCalledTimes(2);
  });

  it("does not warn for a listener that is added right after, nor for a client without events", async () => {
    const emit = spyOnWarnings();
    const client = new EventEmitter();
    warnWithoutErrorListener("redisStore", client);
    client.on("error", () => {});
    warnWithoutErrorListener("postgresStore", {});
    await sleep(5);
    expect(emit).not.toHaveBeenCalled();
  });
});
