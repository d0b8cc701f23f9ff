import { z } from "zod";
import { ApiError, sentence } from "./errors.js";

const says = (problem: string) => ({
  error: (issue: { readonly input?: unknown }) => (issue.input === undefined ? "is required" : problem),
});
const line = (most: number) =>
  z
    .string(says("must be text"))
    .trim()
    .min(1, "must not be empty")
    .max(most, `must have at most ${most} characters`)
    .regex(/^\P{Cc}*$/u, "must not have control characters");

/**
 * What clients may say about a driver. Members that are not here, such as `id` or `company`, are dropped: nobody
 * chooses them.
 */
export const newDriver = z.object(
  {
    name: line(100),
    username: line(50).optional(),
    email: line(254).optional(),
    phone: line(30).optional(),
    licenseNumber: line(30).optional(),
    licenseState: line(30).optional(),
    status: z.enum(["active", "inactive"], says("must be active or inactive")).default("active"),
  },
  says("must be a JSON object"),
);

export const driverChange = newDriver
  .extend({ status: newDriver.shape.status.unwrap() })
  .partial()
  .refine((change) => Object.keys(change).length > 0, "names nothing to change");

export type NewDriver = z.infer<typeof newDriver>;
export type DriverChange = z.infer<typeof driverChange>;

/** @throws ApiError 400 that names every mistake. */
export function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const errors = result.error.issues.map(({ path, message }) => ({ path: path.join("."), message }));
  throw new ApiError(400, sentence(errors), errors);
}
