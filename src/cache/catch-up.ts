// For so long after the last time, a hit is answered without looking for messages that wait to be read.
const CATCH_UP_MS = 5;

/**
 * Makes what lets messages that have arrived be read before a key is answered from memory. A process that was
 * blocked, or had to wait for a processor, finds a request and the news of a revocation side by side in its
 * sockets, and nothing says which it reads first.
 *
 * Answers `undefined` when that was done a moment ago, else a promise. It does not wait for anything to arrive:
 * it lets the event loop go round once.
 */
export function createCatchUp(): (now: number) => Promise<void> | undefined {
  let done = Number.NEGATIVE_INFINITY;
  let next: Promise<void> | undefined;

  const goRound = (resolve: () => void): void => {
    // The first may run before sockets are looked at again; between it and the second they are.
    setImmediate(() => {
      next = undefined; // who comes from now on must not share a round that has begun
      const began = performance.now();
      setImmediate(() => {
        done = began;
        resolve();
      });
    });
  };

  return (now) => {
    if (now < done + CATCH_UP_MS) return undefined;
    next ??= new Promise(goRound);
    return next;
  };
}
