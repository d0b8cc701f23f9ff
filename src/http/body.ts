import { findForbiddenMember } from "../internal/json.js";
import { redactName } from "../internal/redact.js";
import { formatPath, HttpProblem } from "./problem.js";

/** The largest body that is read: 64 KiB. */
export const MAX_BODY_BYTES: number = 64 * 1024;

/**
 * Reads a JSON body. With `optional`, returns `undefined` for an empty body, whatever its type, because many clients
 * send a `Content-Type` with every request.
 *
 * @throws HttpProblem 415 for another type, 413 for more than 64 KiB, 400 for invalid JSON or UTF-8, and for a duplicate
 *   member or a member `__proto__` at any depth.
 */
export async function readJson(
  request: Request,
  { optional = false }: { readonly optional?: boolean } = {},
): Promise<unknown> {
  if (!optional) requireType(request, "application/json");
  const bytes = await readBytes(request);
  if (optional && bytes.length === 0) return undefined;
  if (optional) requireType(request, "application/json");
  return parseJson(bytes);
}

// Bounds the response to a hostile body.
const MAX_PATH_STEPS = 20;

/** @throws HttpProblem 400 for invalid JSON or UTF-8, and for a duplicate member or a member `__proto__` at any depth. */
export function parseJson(bytes: Uint8Array): unknown {
  const text = decodeUtf8(bytes);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new HttpProblem(400, "invalid_body", "The body is not valid JSON.");
  }
  const forbidden = findForbiddenMember(text);
  if (forbidden === undefined) return value;
  const steps = forbidden.slice(0, MAX_PATH_STEPS);
  const path = formatPath(steps.map((step) => (typeof step === "string" ? redactName(step) : step)));
  const message = forbidden.at(-1) === "__proto__" ? "is not allowed" : "must not be repeated";
  throw new HttpProblem(400, "invalid_body", "The body is not valid.", {
    details: { errors: [{ path, message }] },
  });
}

/**
 * Reads a form (`application/x-www-form-urlencoded`).
 *
 * @throws HttpProblem 415 for another type, 413 for more than 64 KiB, 400 for invalid UTF-8.
 */
export async function readForm(request: Request): Promise<URLSearchParams> {
  requireType(request, "application/x-www-form-urlencoded");
  return new URLSearchParams(decodeUtf8(await readBytes(request)));
}

/** @throws HttpProblem 415 for another type, another charset than UTF-8, or a compressed body. */
export function requireType({ headers }: Request, type: string): void {
  const [sentType = "", ...parameters] = (headers.get("content-type") ?? "").toLowerCase().split(";");
  const charsets = parameters
    .map((parameter) => parameter.trim())
    .filter((parameter) => parameter.startsWith("charset="));
  const isUtf8 = charsets.every((charset) => /^charset="?utf-?8"?$/.test(charset));
  if (sentType.trim() !== type || !isUtf8 || (headers.get("content-encoding") ?? "identity") !== "identity") {
    throw new HttpProblem(
      415,
      "unsupported_media_type",
      `Send the body as ${type} in UTF-8, not compressed.`,
    );
  }
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    // RFC 8259, 8.1: JSON is UTF-8. `ignoreBOM` keeps a byte order mark, which is not valid JSON.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new HttpProblem(400, "invalid_body", "The body is not UTF-8.");
  }
}

/** The limits of a body. */
export interface BodyLimits {
  /** 64 KiB by default. */
  readonly maxBytes?: number;
  /** The time in which it must arrive. No limit by default. */
  readonly timeoutMs?: number;
  /** Called with the number of bytes before they are kept; may throw an `HttpProblem`. */
  readonly reserve?: (bytes: number) => void;
}

/**
 * Reads a body. Counts its bytes, because a Content-Length can be missing or wrong.
 *
 * @throws HttpProblem 413 for more than `maxBytes`, 408 after `timeoutMs` (none by default), 400 if the body breaks off.
 */
export async function readBytes(
  request: Request,
  { maxBytes = MAX_BODY_BYTES, timeoutMs, reserve }: BodyLimits = {},
): Promise<Uint8Array> {
  const tooLarge = () =>
    new HttpProblem(413, "body_too_large", `The body may have at most ${maxBytes} bytes.`);
  if (Number(request.headers.get("content-length")) > maxBytes) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let length = 0;
  let isLate = false;
  const reader = request.body?.getReader();
  const cancel = () => reader?.cancel().catch(() => {});
  const onTimeout = () => {
    isLate = true;
    cancel(); // ends the pending read
  };
  const timer = timeoutMs === undefined ? undefined : setTimeout(onTimeout, timeoutMs);
  try {
    for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
      length += part.value.length;
      if (length > maxBytes) break;
      reserve?.(part.value.length);
      chunks.push(part.value);
    }
  } catch (error) {
    cancel();
    if (error instanceof HttpProblem) throw error;
    throw new HttpProblem(400, "invalid_body", "The body could not be read.");
  } finally {
    clearTimeout(timer);
  }
  if (isLate) throw new HttpProblem(408, "body_too_slow", "The body did not arrive in time.");
  if (length > maxBytes) {
    cancel();
    throw tooLarge();
  }
  return Buffer.concat(chunks);
}
