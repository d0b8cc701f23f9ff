import { z } from "zod";
import { issuesOf } from "../issues.js";
import { ApiError } from "./errors.js";

const count = (min: number, max: number) => z.coerce.number().int().min(min).max(max);

/** The query of GET /usage. */
export const usageQuery = z.object({
  limit: count(1, 100).default(50),
  offset: count(0, 1_000_000).default(0),
});

/** The body of POST /search. */
export const searchRequest = z.strictObject({
  query: z.string().trim().min(1).max(500),
  limit: z.int().min(1).max(100).default(20),
  offset: z.int().min(0).max(1_000_000).default(0),
  filters: z.looseObject({}).optional(),
});

/** The body of POST /download-track. */
export const downloadRequest = z
  .strictObject({
    track_id: z.string().min(1).max(64),
    duration_seconds: z.number().min(10).max(300).optional(),
    hit_point_seconds: z.number().min(0).optional(),
  })
  .refine(({ duration_seconds, hit_point_seconds }) => duration_seconds !== undefined || !hit_point_seconds, {
    message: "requires duration_seconds",
    path: ["hit_point_seconds"],
  });

/** @throws ApiError 400 with every issue. */
export function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new ApiError(400, "invalid_parameters", "The request is not valid.", issuesOf(result.error));
}
