/** One request, as `GET /usage` returns it. */
export interface UsageRecord {
  readonly timestamp: string;
  readonly endpoint: string;
  readonly status_code: number;
  readonly credits_consumed: number;
  readonly response_time_ms: number;
}

/** The owner and environment of a request. */
interface Caller {
  readonly ownerId: string;
  readonly environment: string | undefined;
}

/** The number of records kept for an account and environment. Older requests are only counted. */
const MAX_RECORDS = 1_000;

export type RequestLog = ReturnType<typeof createRequestLog>;

/** Creates a log in memory that counts requests by key, and by account and environment. */
export function createRequestLog() {
  const byKey = new Map<string, number>();
  const byEnvironment = new Map<string, { total: number; records: UsageRecord[] }>();

  const entryOf = ({ ownerId, environment }: Caller) => {
    const name = JSON.stringify([ownerId, environment]);
    const entry = byEnvironment.get(name) ?? { total: 0, records: [] };
    byEnvironment.set(name, entry);
    return entry;
  };

  return {
    add(caller: Caller & { readonly id: string }, record: UsageRecord): void {
      byKey.set(caller.id, (byKey.get(caller.id) ?? 0) + 1);
      const entry = entryOf(caller);
      entry.total += 1;
      entry.records.unshift(record);
      entry.records.length = Math.min(entry.records.length, MAX_RECORDS);
    },

    /** Returns the number of requests with a key. */
    countOf: (keyId: string): number => byKey.get(keyId) ?? 0,

    list(caller: Caller, offset: number, limit: number) {
      const { total, records } = entryOf(caller);
      return {
        usage: records.slice(offset, offset + limit),
        total_count: total,
        offset,
        limit,
        environment: caller.environment,
      };
    },
  };
}
