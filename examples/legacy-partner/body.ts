import type { Context } from "koa";
import { z } from "zod";
import { issuesOf, requiredOr } from "../issues.js";
import { ApiError } from "./errors.js";
import { INTEGRATORS, MODULES } from "./partners.js";

const BODY_LIMIT = 64 * 1024;
const MAX_VINS = 1_000;

const integer = (min: number, max: number) => {
  const options = requiredOr(`must be an integer from ${min} to ${max}`);
  return z.int(options).min(min, options).max(max, options);
};

const integrator = integer(0, INTEGRATORS.length - 1);
const allowedData = z
  .array(
    integer(Math.min(...MODULES.keys()), Math.max(...MODULES.keys())),
    requiredOr("must be an array of modules"),
  )
  .min(1, "must have at least one module")
  .refine((modules) => new Set(modules).size === modules.length, "must have each module once");
const object = requiredOr("must be a JSON object");

/** The body of POST. */
export const newIntegration = z.strictObject({ integrator, allowedData }, object);

/** The body of PUT: an integration as GET returns it. Members that cannot change are ignored. */
export const integrationChange = z
  .strictObject(
    {
      id: z.string(requiredOr("must be a string")).optional(),
      integrator: integrator.optional(),
      allowedData: allowedData.optional(),
      active: z.boolean(requiredOr("must be true or false")).optional(),
      companyId: z.unknown(),
      clientKey: z.unknown(),
      utcIssuedOn: z.unknown(),
      issuedBy: z.unknown(),
    },
    object,
  )
  .partial()
  .refine(({ id, integrator }) => id !== undefined || integrator !== undefined, "must have id or integrator")
  .refine(
    ({ allowedData, active }) => allowedData !== undefined || active !== undefined,
    "must have allowedData or active",
  );

const flag = z
  .string("must be sent once")
  .toLowerCase()
  .pipe(z.enum(["true", "false"], "must be true or false"))
  .optional();

/** The query of GET. */
export const integrationFilter = z.object({
  active: flag,
  integrator: z
    .string("must be sent once")
    .regex(/^[0-7]$/, `must be an integer from 0 to ${INTEGRATORS.length - 1}`)
    .optional(),
});

/** The query of assets. */
export const assetsQuery = z.object({ additionalInfo: flag });

/** The body of POST for assets. Unknown VINs are ignored. */
export const vins = z
  .array(z.string(requiredOr("must be a VIN")), requiredOr("must be an array of VINs"))
  .max(MAX_VINS, `must have at most ${MAX_VINS} VINs`);

/** @throws ApiError 400 with every issue. */
export function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new ApiError(400, "invalid_request", "The request is not valid.", issuesOf(result.error));
}

/** @throws ApiError 400, 413 or 415. */
export async function readJson(ctx: Context): Promise<unknown> {
  if (!ctx.is("application/json")) {
    throw new ApiError(415, "unsupported_media_type", "Send the body as application/json.");
  }
  try {
    return JSON.parse(await readText(ctx));
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(400, "invalid_request", "The body is not valid JSON.");
  }
}

/**
 * Reads a body as UTF-8. Koa has no body parser. Call it after the guard, so that requests without a credential are denied
 * before their body is read.
 *
 * @throws ApiError 400 or 413.
 */
export function readText({ req }: Context): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    req.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length <= BODY_LIMIT) chunks.push(chunk);
      else reject(new ApiError(413, "body_too_large", `The body may have at most ${BODY_LIMIT} bytes.`));
    });
    req.on("end", () => {
      try {
        resolve(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks)));
      } catch {
        reject(new ApiError(400, "invalid_request", "The body is not UTF-8."));
      }
    });
    req.on("error", () => reject(new ApiError(400, "invalid_request", "The body could not be read.")));
  });
}
