import { setTimeout as sleep } from "node:timers/promises";
import type { Awaitable } from "../../internal/awaitable.js";
import { checkOptions } from "../../internal/validate.js";
import { StoreError } from "../../kit.js";
import { within } from "../within.js";
import type { InvalidationBus } from "./bus.js";

/** What {@link postgresBus} calls of a connected client: a `Client` of pg has it. */
export interface PostgresBusClient {
  query(text: string, values?: string[]): PromiseLike<unknown>;
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
   * Makes a client and connects it; called again after an outage, because a client cannot. The bus keeps one at
   * a time, to itself, and ends it. It has to reach the server itself, or a pooler in session mode: `LISTEN`
   * does not work through one that hands out connections by the transaction.
   */
  readonly connect: () => Awaitable<PostgresBusClient>;
  /**
   * The channel, `keybearer` by default: a letter or `_`, then up to 62 of `A-Z a-z 0-9 _`. It belongs to the
   * database.
   */
  readonly channel?: string;
}

/** A connection that listens, and by which messages go out, one after the other. */
interface Line {
  send(message: string): Promise<void>;
  /** Settles when the connection is of no use any more. */
  readonly lost: Promise<void>;
  end(): Promise<void>;
}

const CHANNEL = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/;
const CONNECT_MS = 10_000;
const QUERY_MS = 5_000;
const END_MS = 1_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5_000;

/**
 * A bus over `LISTEN` and `NOTIFY` of PostgreSQL, on one connection of its own for both. A pool is not asked
 * for: while a server hangs, the heartbeat would take one connection after the other out of it.
 *
 * It connects again by itself after an outage, after 50 ms at first and 5 seconds at most, also when a
 * connection is dead without being closed.
 *
 * @throws TypeError for an unknown option, a `connect` that is no function or a channel that is none.
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
  const { connect, channel = "keybearer" } = checkOptions("postgresBus", given, ["connect", "channel"]);
  if (typeof connect !== "function") throw new TypeError('postgresBus: "connect" must be a function');
  if (typeof channel !== "string" || !CHANNEL.test(channel)) {
    throw new TypeError('postgresBus: "channel" must be a letter or _, then up to 62 of A-Z a-z 0-9 _');
  }
  const lines = new Set<Line>();

  const listen = async (
    onMessage: (message: string) => void,
    onState: (up: boolean) => void,
    stopped: AbortSignal,
  ): Promise<void> => {
    const stop = once(stopped);
    for (let pause = FIRST_PAUSE_MS; !stopped.aborted; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      const began = performance.now();
      const line = await open(connect, channel, onMessage).catch(() => undefined);
      if (line !== undefined) {
        lines.add(line);
        if (!stopped.aborted) {
          onState(true);
          await Promise.race([line.lost, stop]);
          onState(false);
        }
        lines.delete(line);
        const ended = line.end();
        if (stopped.aborted) await ended;
        if (performance.now() - began > LONGEST_PAUSE_MS) pause = FIRST_PAUSE_MS;
      }
      // Neither all at once after a restart of the server, nor keeping this process up.
      const delay = pause * (0.5 + Math.random());
      await sleep(delay, undefined, { signal: stopped, ref: false }).catch(() => {});
    }
  };

  return Object.freeze({
    async publish(message: string): Promise<void> {
      const [line] = lines;
      if (line === undefined) throw new StoreError("The bus has no connection to PostgreSQL");
      await line.send(message);
    },

    async subscribe(
      onMessage: (message: string) => void,
      onState: (up: boolean) => void,
    ): Promise<() => Promise<void>> {
      const stop = new AbortController();
      const listening = listen(onMessage, onState, stop.signal);
      return () => {
        stop.abort();
        return listening;
      };
    },
  });
}

/** @throws when the connection cannot be made, or does not come to listen in time. */
async function open(
  connect: () => Awaitable<PostgresBusClient>,
  channel: string,
  onMessage: (message: string) => void,
): Promise<Line> {
  const connecting = (async () => connect())();
  const client = await within(connecting, CONNECT_MS).catch((error) => {
    connecting.then(discard, () => {}); // it may come after all
    throw error;
  });

  let lose = () => {};
  const lost = new Promise<void>((resolve) => {
    lose = resolve;
  });
  client.on("error", lose); // stays: without it, an error that comes late would end the process
  client.on("end", lose);
  client.on("notification", (message) => {
    if (message.channel === channel) onMessage(message.payload ?? "");
  });

  const ask = async (text: string, values?: string[]): Promise<void> => {
    try {
      await within(client.query(text, values), QUERY_MS);
    } catch (error) {
      lose(); // also after a refusal: a new connection is cheap, and known to work
      throw error;
    }
  };

  try {
    // A notification does not outlive a crash anyway, so nobody has to wait for the disk.
    await ask("set synchronous_commit to off");
    await ask(`listen "${channel}"`);
  } catch (error) {
    await discard(client);
    throw error;
  }

  let last: Promise<unknown> = Promise.resolve();
  let isOver = false;
  lost.then(() => {
    isOver = true;
  });
  return {
    lost,
    send(message) {
      // pg does not want a query while another one is under way.
      const sending = last.then(() => {
        if (isOver) throw new StoreError("The connection to PostgreSQL was lost");
        return ask("select pg_notify($1, $2)", [channel, message]);
      });
      last = sending.catch(() => {});
      return sending;
    },
    end() {
      lose();
      return discard(client);
    },
  };
}

/** Ends a client, as far as it can be ended. */
async function discard(client: PostgresBusClient): Promise<void> {
  await within((async () => client.end())(), END_MS).catch(() => {});
}

function once(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
