/** Emits a process warning. Operators can filter warnings by `code`. */
export function warn(code: string, message: string): void {
  globalThis.process?.emitWarning?.(message, { type: "KeybearerWarning", code });
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
