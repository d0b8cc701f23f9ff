import { ApiError } from "./errors.js";

const VERSION = "v1";

/** Returns the response body for one item. */
export function one<T>(data: T) {
  return { data, meta: { version: VERSION } };
}

/**
 * Returns the response body for a page of items, selected by `?page=` and `?limit=`.
 *
 * @throws ApiError 400 if the query is invalid.
 */
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

function readNumber(query: Readonly<Record<string, string>>, name: string, byDefault: number, max: number) {
  const text = query[name];
  if (text === undefined) return byDefault;
  const number = Number(text);
  if (/^\d{1,7}$/.test(text) && number >= 1 && number <= max) return number;
  const issue = { path: name, message: `must be an integer from 1 to ${max}` };
  throw new ApiError(400, "invalid_query", "The query is not valid.", [issue]);
}
