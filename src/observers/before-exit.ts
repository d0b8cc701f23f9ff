const pending = new Set<() => void>();

// Emitted again after each flush that does asynchronous work, so a failed one is not repeated.
function flushAll(): void {
  const flushes = [...pending];
  for (const flush of flushes) forgetFlush(flush);
  for (const flush of flushes) flush();
}

/** Calls `flush` once if the process ends by itself, unless {@link forgetFlush} is called before. */
export function flushBeforeExit(flush: () => void): void {
  if (pending.size === 0) globalThis.process?.on?.("beforeExit", flushAll);
  pending.add(flush);
}

/** Removes what {@link flushBeforeExit} added. */
export function forgetFlush(flush: () => void): void {
  if (pending.delete(flush) && pending.size === 0) globalThis.process?.off?.("beforeExit", flushAll);
}
