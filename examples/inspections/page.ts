import { ApiError } from "./failure.js";

const VERSION = "v1";

/** One thing, in the envelope of this API. */
export function one<T>(data: T) {
  return { data, meta: { version: VERSION } };
}

/** A page of things, in the envelope of this API. */
export function listOf<T>(items: readonly T[], query: Readonly<Record<string, string>>) {
  const page = readNumber(query, "page", 1, 1_000_000);
  const limit = readNumber(query, "limit", 50, 100);
  const totalPages = Math.ceil(items.length / limit);
  return {
    data: items.slice((page - 1) * limit, page * limit),
    meta: {
      version: VERSION,
      pagination: {
        currentPage: page,
        totalPages,
        totalCount: items.length,
        hasNextPage: page < totalPages,
        hasPreviousPage: page > 1,
      },
    },
  };
}

function readNumber(query: Readonly<Record<string, string>>, name: string, usual: number, most: number) {
  const text = query[name];
  if (text === undefined) return usual;
  const number = Number(text);
  if (/^\d{1,7}$/.test(text) && number >= 1 && number <= most) return number;
  const fault = { path: name, message: `must be a whole number from 1 to ${most}` };
  throw new ApiError(400, "invalid_query", "The query is not valid.", [fault]);
}
