import { z } from "zod";
import { issuesOf, requiredOr } from "../issues.js";
import { ApiError, notJson } from "./errors.js";

const line = (max: number) =>
  z
    .string(requiredOr("must be a string"))
    .trim()
    .min(1, "must not be empty")
    .max(max, `must have at most ${max} characters`)
    .regex(/^\P{Cc}*$/u, "must not have control characters");
const oneOf = <const T extends readonly string[]>(names: T) =>
  z.enum(names, requiredOr(`must be one of ${names.join(", ")}`));
const object = requiredOr("must be a JSON object");

const vehicle = {
  plateNumber: line(20),
  vin: z
    .string(requiredOr("must be a string"))
    .regex(/^[A-HJ-NPR-Z0-9]{17}$/, "must be a VIN of 17 characters")
    .nullable(),
  brand: line(60).nullable(),
  model: line(60).nullable(),
  type: oneOf(["TRACTOR_UNIT", "CONTAINER_BDF", "SEMI_TRAILER", "TRAILER"]),
  fuelType: oneOf(["DIESEL", "GASOLINE", "ELECTRIC", "HYBRID"]).nullable(),
};

/** The body of POST /vehicles. */
export const newVehicle = z
  .strictObject(vehicle, object)
  .partial({ vin: true, brand: true, model: true, type: true, fuelType: true });

/** The body of PUT /vehicles/{id}. Absent members do not change. */
export const vehicleChange = z
  .strictObject({ ...vehicle, status: oneOf(["OK", "WARNING", "NO_STATUS"]) }, object)
  .partial()
  .refine((change) => Object.keys(change).length > 0, "must change at least one member");

/** The body of POST /inspections. */
export const newInspection = z.strictObject(
  {
    templateId: line(36),
    vehicleIds: z
      .array(line(36), requiredOr("must be an array of ids"))
      .min(1, "must have at least one id")
      .max(100),
    responses: z
      .array(
        z.strictObject({ templateItemId: line(36), responseText: line(1_000) }, object),
        requiredOr("must be an array"),
      )
      .max(200),
    notes: line(2_000).optional(),
  },
  object,
);

export type NewVehicle = z.infer<typeof newVehicle>;
export type VehicleChange = z.infer<typeof vehicleChange>;
export type NewInspection = z.infer<typeof newInspection>;

/** @throws ApiError 400 with every issue, or 415. */
export async function readBody<T>(schema: z.ZodType<T>, request: Request): Promise<T> {
  const result = schema.safeParse(await readJson(request));
  if (result.success) return result.data;
  throw new ApiError(400, "invalid_body", "The body is not valid.", issuesOf(result.error));
}

/** @throws ApiError 400 or 415 */
export async function readJson(request: Request): Promise<unknown> {
  if (!/^application\/json\s*(;|$)/i.test(request.headers.get("content-type") ?? "")) throw notJson();
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(await request.arrayBuffer()));
  } catch {
    throw new ApiError(400, "invalid_body", "The body is not valid JSON.");
  }
}
