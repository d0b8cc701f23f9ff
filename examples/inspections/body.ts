import { z } from "zod";
import { ApiError, notJson } from "./failure.js";

const says = (problem: string) => ({
  error: (issue: { readonly input?: unknown }) => (issue.input === undefined ? "is required" : problem),
});
const text = (most: number) =>
  z
    .string(says("must be text"))
    .trim()
    .min(1, "must not be empty")
    .max(most, `must have at most ${most} characters`)
    .regex(/^\P{Cc}*$/u, "must not have control characters");
const oneOf = <const T extends readonly string[]>(names: T) =>
  z.enum(names, says(`must be one of ${names.join(", ")}`));
const object = says("must be a JSON object");

const vehicle = {
  plateNumber: text(20),
  vin: z
    .string(says("must be text"))
    .regex(/^[A-HJ-NPR-Z0-9]{17}$/, "must be a VIN of 17 characters")
    .nullable(),
  brand: text(60).nullable(),
  model: text(60).nullable(),
  type: oneOf(["TRACTOR_UNIT", "CONTAINER_BDF", "SEMI_TRAILER", "TRAILER"]),
  fuelType: oneOf(["DIESEL", "GASOLINE", "ELECTRIC", "HYBRID"]).nullable(),
};

/** The body of POST /vehicles. */
export const newVehicle = z
  .strictObject(vehicle, object)
  .partial({ vin: true, brand: true, model: true, type: true, fuelType: true });

/** The body of PUT /vehicles/{id}: members that are left out stay. */
export const vehicleChange = z
  .strictObject({ ...vehicle, status: oneOf(["OK", "WARNING", "NO_STATUS"]) }, object)
  .partial()
  .refine((change) => Object.keys(change).length > 0, "must name something to change");

/** The body of POST /inspections. */
export const newInspection = z.strictObject(
  {
    templateId: text(36),
    vehicleIds: z.array(text(36), says("must be a list of ids")).min(1, "must name at least one").max(100),
    responses: z
      .array(
        z.strictObject({ templateItemId: text(36), responseText: text(1_000) }, object),
        says("must be a list"),
      )
      .max(200),
    notes: text(2_000).optional(),
  },
  object,
);

export type NewVehicle = z.infer<typeof newVehicle>;
export type VehicleChange = z.infer<typeof vehicleChange>;
export type NewInspection = z.infer<typeof newInspection>;

/** @throws ApiError 400 or 415 that says what is wrong. */
export async function readBody<T>(schema: z.ZodType<T>, request: Request): Promise<T> {
  const result = schema.safeParse(await readJson(request));
  if (result.success) return result.data;
  const faults = result.error.issues.flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((path) => ({ path, message: "is not a known member" }))
      : [{ path: issue.path.join("."), message: issue.message }],
  );
  throw new ApiError(400, "invalid_body", "The body is not valid.", faults);
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
