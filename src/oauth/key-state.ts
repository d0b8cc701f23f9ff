import { type Awaitable, mapAwaitable } from "../internal/awaitable.js";
import { boundedCall } from "../jwt/bounded-call.js";
import { StoreError } from "../kit.js";

/**
 * Where the processes of a token service share which key signs and which keys are retired: one string, in a row or a
 * key. It contains `kid`s and times, and no key material.
 *
 * @example
 * const signingKeyStore: SigningKeyStore = {
 *   read: async () => (await pool.query("SELECT state FROM signing_keys")).rows[0]?.state,
 *   replace: async (expected, next) => {
 *     const [text, values] =
 *       expected === undefined
 *         ? ["INSERT INTO signing_keys (id, state) VALUES (1, $1) ON CONFLICT DO NOTHING", [next]]
 *         : ["UPDATE signing_keys SET state = $1 WHERE state = $2", [next, expected]];
 *     return (await pool.query(text, values)).rowCount === 1;
 *   },
 * };
 */
export interface SigningKeyStore {
  /**
   * Returns the string that was written last; `null` or `undefined` before the first write. Must not read from a replica
   * that lags behind.
   */
  read(): Awaitable<string | null | undefined>;
  /** Writes `next` if the string is still `expected`, atomically. Returns whether it was written. */
  replace(expected: string | undefined, next: string): Awaitable<boolean>;
}

/** Which key signs, and when tokens of retired keys end to be accepted, in milliseconds since 1970. */
export interface KeyState {
  readonly signing: string;
  readonly retired: ReadonlyMap<string, number>;
}

/** The state of the signing keys of a token service. */
export interface KeyStates {
  /** Reads the state if it is older than the heartbeat. Synchronous if it is not. Fails with a `StoreError` only. */
  refresh(): Awaitable<void>;
  /** Returns the state of the last reading. @throws StoreError if it is older than the heartbeat. */
  get(): KeyState;
  /** Compare-and-set; retries on conflict. An exception of `change` is thrown, and nothing changes. */
  change(change: (state: KeyState) => KeyState): Awaitable<void>;
}

const SUBJECT = "The store of signing keys";
const WRITE_TIMEOUT_MS = 10_000;
const MAX_ATTEMPTS = 10;

/** Creates the state of one process. */
export function localKeyStates(initial: KeyState): KeyStates {
  let state = initial;
  return {
    refresh() {},
    get: () => state,
    change(change) {
      state = change(state);
    },
  };
}

/**
 * Creates the state of processes that share a store. A reading is used for one heartbeat after it began, so that a change
 * is in force in every process one heartbeat after it was written. After half a heartbeat it is repeated in the background.
 */
export function sharedKeyStates(
  store: SigningKeyStore,
  initial: KeyState,
  { heartbeatMs, timeoutMs }: { readonly heartbeatMs: number; readonly timeoutMs: number },
): KeyStates {
  let known: { readonly state: KeyState; readonly startedAt: number } | undefined;
  let pending: Promise<void> | undefined;
  let changes = 0;

  const isYounger = (ageMs: number): boolean =>
    known !== undefined && performance.now() - known.startedAt < ageMs;

  const learn = (state: KeyState, startedAt: number): void => {
    if (known === undefined || startedAt >= known.startedAt) known = { state, startedAt };
  };

  const read = (limitMs: number): Awaitable<string | undefined> =>
    mapAwaitable(
      boundedCall(() => store.read(), limitMs, SUBJECT),
      (text) => text ?? undefined,
    );

  const reload = async (): Promise<void> => {
    const [startedAt, changesBefore] = [performance.now(), changes];
    const state = parse(await read(timeoutMs), initial);
    if (changes === changesBefore) learn(state, startedAt); // it may have read before the change was written
  };

  const load = (): Promise<void> => {
    pending ??= reload().finally(() => {
      pending = undefined;
    });
    return pending;
  };

  return {
    refresh() {
      if (isYounger(heartbeatMs / 2)) return;
      const loading = load();
      if (!isYounger(heartbeatMs)) return loading;
      loading.catch(() => {}); // repeated, and reported, when the state is too old
    },
    get() {
      if (known !== undefined && isYounger(heartbeatMs)) return known.state;
      throw new StoreError(`${SUBJECT} was not read within the heartbeat`);
    },
    async change(change) {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const text = await read(WRITE_TIMEOUT_MS);
        const next = change(parse(text, initial));
        const startedAt = performance.now();
        const replaced = await boundedCall(
          () => store.replace(text, serialize(next)),
          WRITE_TIMEOUT_MS,
          SUBJECT,
        );
        if (typeof replaced !== "boolean") throw new StoreError(`${SUBJECT} did not return true or false`);
        if (!replaced) continue;
        changes += 1;
        return learn(next, startedAt);
      }
      throw new StoreError(`${SUBJECT} kept changing concurrently`);
    },
  };
}

function serialize({ signing, retired }: KeyState): string {
  return JSON.stringify({ signing, retired: [...retired] });
}

/** @throws StoreError if the text is not a state. */
function parse(text: unknown, initial: KeyState): KeyState {
  if (text === undefined) return initial;
  try {
    const { signing, retired } = JSON.parse(text as string);
    const isEntry = (entry: unknown): boolean =>
      Array.isArray(entry) && typeof entry[0] === "string" && Number.isFinite(entry[1]);
    if (typeof text === "string" && typeof signing === "string" && (retired as unknown[]).every(isEntry)) {
      return { signing, retired: new Map(retired) };
    }
  } catch {
    // not JSON
  }
  throw new StoreError(`${SUBJECT} returned something that is not a state`);
}
