// After a catch-up, hits are returned synchronously for this long.
const INTERVAL_MS = 5;

/**
 * Creates a function that lets messages that have arrived be read before a cached key is returned. After a process was
 * blocked, a request and the message about a revocation may both wait in its sockets, and either may be read first.
 *
 * The function returns `undefined` if this was done recently, otherwise a promise. It waits for one turn of the event
 * loop, not for messages to arrive.
 */
export function createCatchUp(): (now: number) => Promise<void> | undefined {
  let done = Number.NEGATIVE_INFINITY;
  let pending: Promise<void> | undefined;

  const waitOneTurn = (resolve: () => void): void => {
    // The first callback may run before sockets are polled. They are polled between it and the second.
    setImmediate(() => {
      pending = undefined; // later calls must not share a turn that has begun
      const began = performance.now();
      setImmediate(() => {
        done = began;
        resolve();
      });
    });
  };

  return (now) => {
    if (now < done + INTERVAL_MS) return undefined;
    pending ??= new Promise(waitOneTurn);
    return pending;
  };
}
