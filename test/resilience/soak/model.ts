// What must be true of each key at a moment, as far as the one who changed it can know.

/** What a key may do from when on. A change that was under way at a moment leaves both answers open. */
export interface ModelKey {
  readonly id: string;
  readonly secret: string;
  readonly writes: boolean;
  /** The last two parts of the only client address that it works from. */
  readonly network: string | undefined;
  /** From when on a change that stops it was under way, and when its answer came; none yet: `Infinity`. */
  stopBegan: number;
  stopped: number;
  /** The process that did it. */
  stoppedBy: number;
  /** A change whose answer was lost: it may have happened. */
  unsure: boolean;
}

/** One request with a key, as it was sent and answered. */
export interface Exchange {
  readonly key: ModelKey;
  readonly writes: boolean;
  readonly from: string;
  readonly process: number;
  readonly began: number;
  readonly ended: number;
  readonly status: number;
}

/** Stores were being restarted from `began` to `ended`, and a while behind that. */
export interface Outage {
  readonly began: number;
  ended: number;
}

/** How long after a restart answers of 503 are still right: pools and clients have to connect again. */
const RECOVERY_MS = 15_000;

/**
 * Why an answer is wrong, or `undefined`. The rules, most severe first: nobody passes for whom it is certain that they
 * may not; a refusal is the right one; who may pass does, or is told 503 in an outage.
 */
export function wrong(exchange: Exchange, outages: readonly Outage[], staleMs: number): string | undefined {
  const { key, status, began, ended, process } = exchange;
  const grace = process === key.stoppedBy ? 0 : staleMs;
  const isStopped = began > key.stopped + grace;
  const mayBeStopped = key.unsure || ended >= key.stopBegan;
  const isFar = key.network !== undefined && exchange.from !== key.network;
  const lacksScope = exchange.writes && !key.writes;

  if (status === 200) {
    if (isStopped) return "a key that was stopped passed";
    if (isFar) return "a key passed outside of its network";
    return lacksScope ? "a key passed without its scope" : undefined;
  }
  if (status === 503) {
    const isOut = outages.some((outage) => ended >= outage.began && began <= outage.ended + RECOVERY_MS);
    return isOut ? undefined : "503 without an outage";
  }
  if (status === 401) return mayBeStopped ? undefined : "a key that works was refused as unknown";
  if (status === 403) return isFar || lacksScope ? undefined : "a key was refused what it may do";
  return `an answer of ${status}`;
}
