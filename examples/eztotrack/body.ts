import { z } from "zod";
import { requiredOr } from "../issues.js";
import { ApiError, sentence } from "./errors.js";

const line = (max: number) =>
  z
    .string(requiredOr("must be a string"))
    .trim()
    .min(1, "must not be empty")
    .max(max, `must have at most ${max} characters`)
    .regex(/^\P{Cc}*$/u, "must not have control characters");

/** The body of POST. Other members, such as `id` or `company`, are ignored. */
export const newDriver = z.object(
  {
    name: line(100),
    username: line(50).optional(),
    email: line(254).optional(),
    phone: line(30).optional(),
    licenseNumber: line(30).optional(),
    licenseState: line(30).optional(),
    status: z.enum(["active", "inactive"], requiredOr("must be active or inactive")).default("active"),
  },
  requiredOr("must be a JSON object"),
);

/** The body of PATCH. */
export const driverChange = newDriver
  .extend({ status: newDriver.shape.status.unwrap() })
  .partial()
  .refine((change) => Object.keys(change).length > 0, "must change at least one member");

export type NewDriver = z.infer<typeof newDriver>;
export type DriverChange = z.infer<typeof driverChange>;

/** @throws ApiError 400 with every issue. */
export function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const errors = result.error.issues.map(({ path, message }) => ({ path: path.join("."), message }));
  throw new ApiError(400, sentence(errors), errors);
}
