import type { Context } from "koa";
import { z } from "zod";
import { faultsOf } from "../faults.js";
import { ApiError } from "./failure.js";
import { INTEGRATORS, MODULES } from "./partners.js";

const BODY_LIMIT = 64 * 1024;
const MAX_VINS = 1_000;

const says = (problem: string) => ({
  error: (issue: { readonly input?: unknown }) => (issue.input === undefined ? "is required" : problem),
});
const number = (least: number, most: number) => {
  const form = says(`must be a whole number from ${least} to ${most}`);
  return z.int(form).min(least, form).max(most, form);
};

const integrator = number(0, INTEGRATORS.length - 1);
const allowedData = z
  .array(number(Math.min(...MODULES.keys()), Math.max(...MODULES.keys())), says("must be a list of modules"))
  .min(1, "must name at least one module")
  .refine((modules) => new Set(modules).size === modules.length, "must name each module once");
const object = says("must be a JSON object");

/** The body of POST. Neither the company nor who issued it is for the client to say. */
export const newIntegration = z.strictObject({ integrator, allowedData }, object);

/** The body of PUT. An integration may come back as it was shown; what cannot change in it is not read. */
export const integrationChange = z
  .strictObject(
    {
      id: z.string(says("must be text")).optional(),
      integrator: integrator.optional(),
      allowedData: allowedData.optional(),
      active: z.boolean(says("must be true or false")).optional(),
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
  .string("must be given once")
  .toLowerCase()
  .pipe(z.enum(["true", "false"], "must be true or false"))
  .optional();

/** The query of GET. */
export const integrationFilter = z.object({
  active: flag,
  integrator: z
    .string("must be given once")
    .regex(/^[0-7]$/, `must be a number from 0 to ${INTEGRATORS.length - 1}`)
    .optional(),
});

/** The query of assets. */
export const assetsQuery = z.object({ additionalInfo: flag });

/** The body of POST for assets. A VIN that the company does not have is no mistake: there is nothing to list for it. */
export const vins = z
  .array(z.string(says("must be a VIN")), says("must be a list of VINs"))
  .max(MAX_VINS, `must have at most ${MAX_VINS} VINs`);

/** @throws ApiError 400 that says what is wrong. */
export function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new ApiError(400, "invalid_request", "The request is not valid.", faultsOf(result.error));
}

/** @throws ApiError 400, 413 or 415 */
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

/** Koa leaves bodies to its users. This runs behind the guard, so nobody uploads without a credential. */
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
