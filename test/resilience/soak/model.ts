// The model: which responses are correct for a key, given the changes that were sent and when they were acknowledged.

/** A key, and when it stopped working. During the change both outcomes are correct. */
export interface ModelKey {
  readonly id: string;
  readonly secret: string;
  readonly writes: boolean;
  /** The only client address that the key works from; any if absent. */
  readonly network: string | undefined;
  /** When the change that stops the key was sent; `Infinity` before. */
  stopSentAt: number;
  /** When that change was acknowledged; `Infinity` before. */
  stoppedAt: number;
  /** The process that made the change. */
  stoppedBy: number;
  /** Whether the response to the change was lost, so that it may have happened or not. */
  isUncertain: boolean;
}

/** A request with a key, and its response. */
export interface Exchange {
  readonly key: ModelKey;
  readonly writes: boolean;
  readonly from: string;
  readonly process: number;
  readonly sentAt: number;
  readonly endedAt: number;
  readonly status: number;
}

/** A restart of a database. */
export interface Outage {
  readonly startedAt: number;
  endedAt: number;
}

/** How long after a restart 503 is still correct, because clients have to reconnect. */
export const RECOVERY_MS = 5_000;

/**
 * Returns why a response is wrong, or `undefined`. No request may be allowed that must be denied; a denial must have the
 * correct reason; and a valid request must be allowed, or receive 503 during an outage.
 */
export function violationOf(
  exchange: Exchange,
  outages: readonly Outage[],
  staleMs: number,
): string | undefined {
  const { key, status, sentAt, endedAt, process } = exchange;
  const grace = process === key.stoppedBy ? 0 : staleMs;
  const isStopped = sentAt > key.stoppedAt + grace;
  const mayBeStopped = key.isUncertain || endedAt >= key.stopSentAt;
  const isOutside = key.network !== undefined && exchange.from !== key.network;
  const lacksScope = exchange.writes && !key.writes;

  if (status === 200) {
    if (isStopped) return "a stopped key was allowed";
    if (isOutside) return "a key was allowed from another address";
    return lacksScope ? "a key was allowed without the scope" : undefined;
  }
  if (status === 503) {
    const isOutage = outages.some(
      (outage) => endedAt >= outage.startedAt && sentAt <= outage.endedAt + RECOVERY_MS,
    );
    return isOutage ? undefined : "503 without an outage";
  }
  if (status === 401) return mayBeStopped ? undefined : "a valid key was denied with 401";
  if (status === 403) return isOutside || lacksScope ? undefined : "a valid request was denied with 403";
  return `unexpected status ${status}`;
}
