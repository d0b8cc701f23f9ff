/** One request, as `GET /usage` shows it. */
export interface UsageRecord {
  readonly timestamp: string;
  readonly endpoint: string;
  readonly status_code: number;
  readonly credits_consumed: number;
  readonly response_time_ms: number;
}

/** Whose request it was. */
interface Caller {
  readonly ownerId: string;
  readonly environment: string | undefined;
}

/** Of more, only the number is kept. */
const MAX_RECORDS = 1_000;

export type Usage = ReturnType<typeof createUsage>;

/** Counts requests: of each key, and of each account by environment, so that tests do not blur what is live. */
export function createUsage() {
  const byKey = new Map<string, number>();
  const byEnvironment = new Map<string, { total: number; records: UsageRecord[] }>();

  const of = ({ ownerId, environment }: Caller) => {
    const name = JSON.stringify([ownerId, environment]);
    const found = byEnvironment.get(name) ?? { total: 0, records: [] };
    byEnvironment.set(name, found);
    return found;
  };

  return {
    add(caller: Caller & { readonly id: string }, record: UsageRecord): void {
      byKey.set(caller.id, (byKey.get(caller.id) ?? 0) + 1);
      const counted = of(caller);
      counted.total += 1;
      counted.records.unshift(record);
      counted.records.length = Math.min(counted.records.length, MAX_RECORDS);
    },

    requestsOf: (keyId: string): number => byKey.get(keyId) ?? 0,

    list(caller: Caller, offset: number, limit: number) {
      const { total, records } = of(caller);
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
