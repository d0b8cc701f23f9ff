/** Emits a process warning. Operators can filter warnings by `code`. */
export function warn(code: string, message: string): void {
  globalThis.process?.emitWarning?.(message, { type: "KeybearerWarning", code });
}

const checkedClients = new WeakSet<object>();

/**
 * Emits a warning if a client of a database has no `error` listener: an error event would then end the process. The
 * listener may be added until the next turn of the event loop. Each client is checked once.
 */
export function warnWithoutErrorListener(where: string, client: object): void {
  const { listenerCount } = client as { listenerCount?: unknown };
  if (typeof listenerCount !== "function" || checkedClients.has(client)) return;
  checkedClients.add(client);
  setTimeout(() => {
    if (listenerCount.call(client, "error") !== 0) return;
    warn(
      "KEYBEARER_NO_ERROR_LISTENER",
      `${where}: the client has no "error" listener, so a lost connection can end the process. Add one: client.on("error", log)`,
    );
  }).unref?.();
}

/** Returns a function that emits the warning on its first call only. */
export function warnOnce(code: string): (message: string) => void {
  let warned = false;
  return (message) => {
    if (warned) return;
    warned = true;
    warn(code, message);
  };
}
