import type { KeyEvent, Observer } from "../../kit.js";
import { errorKind } from "../errors.js";

/** Writes one JSON object a line. No line has a secret, a hash, a query, a body or a header. */
export interface Log {
  info(message: string, members?: Readonly<Record<string, unknown>>): void;
  /** Logs the name and the code of an error: messages of drivers may quote values. */
  failure(error: unknown, requestId?: string): void;
  /** Logs denied and failed requests, changes of keys, and caches that are bypassed. */
  readonly observer: Observer;
}

/** @param write writes a line, without waiting. */
export function createLog(write: (line: string) => void, clock: () => Date = () => new Date()): Log {
  const line = (level: string, message: string, members: object = {}) =>
    write(
      `${JSON.stringify({ time: clock().toISOString(), level, message, pid: process.pid, ...members })}\n`,
    );
  return {
    info: (message, members) => line("info", message, members),
    failure: (error, requestId) => line("error", "failed", { error: errorKind(error), requestId }),
    observer(event) {
      if (event.type === "auth.allowed") return;
      line(isFailure(event) ? "error" : "info", event.type, membersOf(event));
    },
  };
}

function isFailure({ type }: KeyEvent): boolean {
  return type === "auth.failed" || type === "background.failed" || type === "cache.bypassed";
}

const MEMBERS = ["reason", "code", "keyId", "ownerId", "requestId", "actor", "task"];

function membersOf(event: KeyEvent): object {
  const members = event as unknown as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    MEMBERS.filter((name) => typeof members[name] === "string").map((name) => [name, members[name]]),
  );
}
