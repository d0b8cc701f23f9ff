import { randomBytes } from "node:crypto";
import { HttpProblem } from "../http/problem.js";
import { checkMethods, checkOptions } from "../internal/validate.js";
import { warnOnce } from "../internal/warn.js";
import { KeyNotFoundError, StoreError, toStoreError } from "../kit.js";
import { createProblem, toProblem } from "./error-codes.js";
import { callHost } from "./host-call.js";
import {
  callerOf,
  entryId,
  open,
  requestMac,
  type SavedResponse,
  type StoredResponse,
  seal,
} from "./idempotency-seals.js";
import { type IdempotencyEntry, type IdempotencyStore, memoryIdempotency } from "./idempotency-store.js";
import type { Operation, OperationInput, OperationResult } from "./operation.js";
import type { RouteName } from "./routes.js";

/** Where responses to requests with an `Idempotency-Key` are kept, and what encrypts them. */
export interface IdempotencyOptions {
  readonly store: IdempotencyStore;
  /**
   * Encrypts the responses, which contain secrets of keys: at least 32 random characters, the same in every process. Keep
   * it out of the database of `store`. After a change, earlier requests are unknown.
   */
  readonly secret: string;
}

const LIFETIME_MS = 24 * 3_600_000;
/** How long a request may take until another one with the same `Idempotency-Key` may replace it. */
const LEASE_MS = 60_000;
const MIN_SECRET_LENGTH = 32;

/** Executes requests with an `Idempotency-Key` once. */
export interface Idempotency<S extends string> {
  /**
   * Executes an operation, or returns its stored response. `replay` checks that the caller may still read the key `id` of
   * the input, and returns the headers.
   *
   * @throws HttpProblem 422 if the key belongs to another request, 409 if that request is not finished.
   */
  execute(
    idempotencyKey: string,
    route: RouteName,
    input: OperationInput<S>,
    operations: { readonly first: Operation<S>; readonly replay: Operation<S> },
  ): Promise<OperationResult>;
}

/**
 * Returns the `Idempotency-Key` of a request (draft-ietf-httpapi-idempotency-key-header). It is compared as received:
 * clients may send it with or without quotes.
 *
 * @throws HttpProblem 400 if it is invalid or repeated.
 */
export function readIdempotencyKey(headers: Headers): string | undefined {
  const value = headers.get("idempotency-key");
  if (value === null || IDEMPOTENCY_KEY.test(value)) return value ?? undefined;
  throw createProblem("invalid_idempotency_key"); // two header lines are joined by ", "
}

/** 1 to 255 visible ASCII characters. */
export const IDEMPOTENCY_KEY: RegExp = /^[!-~]{1,255}$/;

/** @throws TypeError if the option is invalid. */
export function createIdempotency<S extends string>(
  where: string,
  given: "per-process" | IdempotencyOptions | undefined,
): Idempotency<S> {
  const warn = given === undefined ? warnOnce("KEYBEARER_LOCAL_IDEMPOTENCY") : () => {};
  const { store, secret } = readOptions(where, given);

  const compareAndSet = async (
    entry: IdempotencyEntry,
    expected: string | undefined,
    value: string | null,
  ): Promise<string | undefined> => {
    try {
      const current: unknown = await callHost(SUBJECT, () => store.compareAndSet(entry, expected, value));
      if (typeof current === "string" || current === undefined) return current;
    } catch (error) {
      throw error instanceof HttpProblem ? error : toStoreError(error, SUBJECT);
    }
    throw new StoreError(`${SUBJECT} did not return a string or undefined`);
  };

  return {
    async execute(idempotencyKey, route, input, { first, replay }) {
      warn(LOCAL_WARNING);
      const caller = callerOf(input.principal, idempotencyKey);
      const { ownerId } = input.principal;
      const entry = { id: entryId(secret, caller), ownerId, until: new Date(Date.now() + LIFETIME_MS) };
      const request = requestMac(secret, route, input);
      const salt = randomBytes(32).toString("base64url");
      let value = JSON.stringify({ request, at: Date.now(), salt } satisfies StoredResponse);

      const earlier = await compareAndSet(entry, undefined, value);
      if (earlier !== undefined) {
        const stored = readStored(earlier);
        if (stored.request !== request) throw createProblem("idempotency_key_reused");
        const response = stored.response === undefined ? undefined : open(secret, caller, stored);
        const result = response && (await replayed(response));
        if (result !== undefined) return result;
        // No key exists: the earlier request is still running, or failed without deleting its entry.
        if (Date.now() - stored.at < LEASE_MS) throw inProgress();
        if ((await compareAndSet(entry, earlier, value)) !== earlier) throw inProgress();
      }

      let isSaved = false;
      const save = async (keyId: string, body: object): Promise<void> => {
        const response = seal(secret, caller, { request, salt }, { keyId, body });
        const next = JSON.stringify({ request, at: Date.now(), salt, response } satisfies StoredResponse);
        if ((await compareAndSet(entry, value, next)) !== value) throw inProgress();
        value = next;
        isSaved = true;
      };
      try {
        return await first({ ...input, save });
      } catch (error) {
        // After an unexpected error, the key may exist. The next request looks for it.
        if (!isSaved || !toProblem(error).unexpected) await compareAndSet(entry, value, null).catch(() => {});
        throw error;
      }

      async function replayed({ keyId, body }: SavedResponse): Promise<OperationResult | undefined> {
        try {
          const { headers } = await replay({ ...input, id: keyId });
          return { body, headers: { ...headers, "Idempotent-Replayed": "true" } };
        } catch (error) {
          if (error instanceof KeyNotFoundError) return undefined;
          throw error;
        }
      }
    },
  };
}

const SUBJECT = "The idempotency store";
const LOCAL_WARNING =
  'createManagementApi: a repeated request is recognized only by the process that served the first one. Set "idempotency" to a shared store, or to "per-process"';

function readOptions(
  where: string,
  given: "per-process" | IdempotencyOptions | undefined,
): IdempotencyOptions {
  if (given === undefined || given === "per-process") {
    return { store: memoryIdempotency(), secret: randomBytes(32).toString("base64url") };
  }
  const options = checkOptions(`${where}: "idempotency"`, given, ["store", "secret"]);
  checkMethods(where, "idempotency.store", options.store, ["compareAndSet"]);
  if (typeof options.secret !== "string" || options.secret.length < MIN_SECRET_LENGTH) {
    throw new TypeError(`${where}: "idempotency.secret" must be a string of at least 32 random characters`);
  }
  return options;
}

function inProgress(): HttpProblem {
  return createProblem("idempotency_in_progress", {}, { headers: { "Retry-After": "1" } });
}

function readStored(value: string): StoredResponse {
  try {
    const stored = JSON.parse(value) as StoredResponse;
    if (typeof stored.request === "string" && typeof stored.salt === "string" && Number.isFinite(stored.at)) {
      return stored;
    }
  } catch {
    // not JSON
  }
  throw new StoreError(`${SUBJECT} returned an invalid entry`);
}
