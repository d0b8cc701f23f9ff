import { z } from "zod";
import { parse } from "./body.js";
import { ApiError, sentence } from "./errors.js";

const pageQuery = z.object({
  limit: z.coerce
    .number("must be a number")
    .int("must be an integer")
    .min(1, "must be at least 1")
    .max(512, "must be at most 512")
    .default(50),
  after: z.string("must be a string").optional(),
});

type Item = { readonly id: string } | { readonly driverId: string };

/**
 * Returns the page of a list that `?limit=` and `?after=` select.
 *
 * @throws ApiError 400 if the query is invalid.
 */
export function pageOf<T extends Item>(items: readonly T[], query: object) {
  const { limit, after } = parse(pageQuery, query);
  const start = after === undefined ? 0 : items.findIndex((item) => cursorOf(item) === after) + 1;
  if (after !== undefined && start === 0) {
    const errors = [{ path: "after", message: "is not a cursor of this list" }];
    throw new ApiError(400, sentence(errors), errors);
  }
  const data = items.slice(start, start + limit);
  const last = data.at(-1);
  return {
    data,
    pagination: {
      endCursor: last === undefined ? "" : cursorOf(last),
      hasNextPage: start + data.length < items.length,
    },
  };
}

function cursorOf(item: Item): string {
  const id = "id" in item ? item.id : item.driverId;
  return Buffer.from(JSON.stringify({ id })).toString("base64url");
}
