const pending = new Set<() => void>();
let isListening = false;

/** Calls `flush` once if the process ends by itself, unless {@link forgetFlush} is called before. */
export function flushBeforeExit(flush: () => void): void {
  pending.add(flush);
  if (isListening) return;
  isListening = true;
  // Emitted again after each flush that did asynchronous work; a failed one is not repeated.
  globalThis.process?.on?.("beforeExit", () => {
    const flushes = [...pending];
    pending.clear();
    for (const flush of flushes) flush();
  });
}

/** Removes what {@link flushBeforeExit} added. */
export function forgetFlush(flush: () => void): void {
  pending.delete(flush);
}
