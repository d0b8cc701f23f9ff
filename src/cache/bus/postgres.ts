import { setTimeout as sleep } from "node:timers/promises";
import type { Awaitable } from "../../internal/awaitable.js";
import { settledWithin, withTimeout } from "../../internal/timeout.js";
import { checkOptions, describe } from "../../internal/validate.js";
import { StoreError } from "../../kit.js";
import type { InvalidationBus } from "./bus.js";

/** The part of a connected client that {@link postgresBus} uses. A `Client` of pg has it. */
export interface PostgresBusClient {
  query(text: string): PromiseLike<unknown>;
  on(
    event: "notification",
    listener: (message: { readonly channel: string; readonly payload?: string | undefined }) => void,
  ): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "end", listener: () => void): unknown;
  end(): PromiseLike<unknown>;
}

/** Options of {@link postgresBus}. */
export interface PostgresBusOptions {
  /**
   * Creates and connects a client. Called again after an outage. The bus uses one client at a time, and ends it. Connect
   * to the server, or to a pooler in session mode: `LISTEN` does not work with a pooler in transaction mode.
   */
  readonly connect: () => Awaitable<PostgresBusClient>;
  /**
   * The channel on which `postgresStore` announces changes: the name of its table and `_changes`.
   * `"keybearer_keys_changes"` by default.
   */
  readonly channel?: string;
}

/** A connection that listens. */
interface Connection {
  /** Resolves when the connection can no longer be used. */
  readonly lost: Promise<void>;
  end(): Promise<void>;
}

const CHANNEL = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/;
const CONNECT_TIMEOUT_MS = 10_000;
const QUERY_TIMEOUT_MS = 5_000;
const CHECK_INTERVAL_MS = 30_000; // finds a connection that is dead without an error
const END_TIMEOUT_MS = 1_000;
const MIN_BACKOFF_MS = 50;
const MAX_BACKOFF_MS = 5_000;

/**
 * Creates a bus that listens to what `postgresStore` announces with `NOTIFY` in the transaction of a change, in any
 * process. It has one connection of its own.
 *
 * After an outage, or if the connection is dead, the bus connects again with exponential back-off from 50 ms to 5 seconds.
 *
 * @throws TypeError if an option is unknown, `connect` is not a function, or the channel is invalid.
 *
 * @example
 * const connect = async () => {
 *   const client = new pg.Client({ connectionString });
 *   await client.connect();
 *   return client;
 * };
 * const store = cachedStore(postgresStore(pool), { bus: postgresBus({ connect }) });
 */
export function postgresBus(given: PostgresBusOptions): InvalidationBus {
  const { connect, channel = "keybearer_keys_changes" } = checkOptions("postgresBus", given, [
    "connect",
    "channel",
  ]);
  if (typeof connect !== "function") {
    throw new TypeError(`postgresBus: "connect" must be a function; received ${describe(connect)}`);
  }
  if (typeof channel !== "string" || !CHANNEL.test(channel)) {
    throw new TypeError('postgresBus: "channel" must be a letter or _, then up to 62 of A-Z a-z 0-9 _');
  }

  const listen = async (onKeyChanged: (keyId: string) => void, stopped: AbortSignal): Promise<void> => {
    const stop = aborted(stopped);
    for (let backoff = MIN_BACKOFF_MS; !stopped.aborted; backoff = Math.min(backoff * 2, MAX_BACKOFF_MS)) {
      const began = performance.now();
      const connection = await open(connect, channel, onKeyChanged).catch(() => undefined);
      if (connection !== undefined) {
        if (!stopped.aborted) await Promise.race([connection.lost, stop]);
        const ended = connection.end();
        if (stopped.aborted) await ended;
        if (performance.now() - began > MAX_BACKOFF_MS) backoff = MIN_BACKOFF_MS;
      }
      // Random, so that processes do not all reconnect at the same time.
      const delay = backoff * (0.5 + Math.random());
      await sleep(delay, undefined, { signal: stopped, ref: false }).catch(() => {});
    }
  };

  return Object.freeze({
    async subscribe(onKeyChanged: (keyId: string) => void): Promise<() => Promise<void>> {
      const stop = new AbortController();
      const listening = listen(onKeyChanged, stop.signal);
      return () => {
        stop.abort();
        return listening;
      };
    },
  });
}

/** Connects and listens. @throws if either fails or takes too long. */
async function open(
  connect: () => Awaitable<PostgresBusClient>,
  channel: string,
  onKeyChanged: (keyId: string) => void,
): Promise<Connection> {
  const connecting = (async () => connect())();
  const client = await withTimeout(connecting, CONNECT_TIMEOUT_MS, { onTimeout }).catch((error) => {
    connecting.then(endClient, () => {}); // it may still connect later
    throw error;
  });

  let lose = () => {};
  const lost = new Promise<void>((resolve) => {
    lose = resolve;
  });
  client.on("error", lose); // never removed: a later "error" event without a listener would end the process
  client.on("end", lose);
  client.on("notification", (message) => {
    if (message.channel === channel) onKeyChanged(message.payload ?? "");
  });

  const query = async (text: string): Promise<void> => {
    try {
      await withTimeout(client.query(text), QUERY_TIMEOUT_MS, { onTimeout });
    } catch (error) {
      lose(); // after any error, a new connection is the simplest recovery
      throw error;
    }
  };

  try {
    await query(`listen "${channel}"`);
  } catch (error) {
    await endClient(client);
    throw error;
  }

  const check = setInterval(() => query("select 1").catch(() => {}), CHECK_INTERVAL_MS);
  check.unref();
  return {
    lost,
    end() {
      clearInterval(check);
      lose();
      return endClient(client);
    },
  };
}

function onTimeout(): Error {
  return new StoreError("PostgreSQL did not respond in time");
}

/** Ends a client. Never rejects. */
function endClient(client: PostgresBusClient): Promise<void> {
  return settledWithin((async () => client.end())(), END_TIMEOUT_MS);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
