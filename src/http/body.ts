import { HttpProblem } from "./problem.js";

/** The most bytes that a body may have: 64 KiB. */
export const MAX_BODY_BYTES: number = 64 * 1024;

/**
 * Reads a JSON body.
 *
 * @throws HttpProblem 415 for another type, 413 for more than 64 KiB, 400 for what is no JSON in UTF-8.
 */
export async function readJson(request: Request): Promise<unknown> {
  requireType(request, "application/json");
  return parseJson(await readBytes(request));
}

/**
 * Reads a JSON body that may be absent; `undefined` when it is. One of no bytes is, whatever type it is said to be:
 * many clients name a type with every request.
 *
 * @throws HttpProblem as `readJson` does, for a body that is there.
 */
export async function readOptionalJson(request: Request): Promise<unknown> {
  const bytes = await readBytes(request);
  if (bytes.length === 0) return undefined;
  requireType(request, "application/json");
  return parseJson(bytes);
}

function parseJson(bytes: Uint8Array): unknown {
  const text = decode(bytes);
  try {
    return JSON.parse(text);
  } catch {
    throw new HttpProblem(400, "invalid_body", "The body is not valid JSON.");
  }
}

/**
 * Reads a form (`application/x-www-form-urlencoded`).
 *
 * @throws HttpProblem 415 for another type, 413 for more than 64 KiB, 400 for what is no UTF-8.
 */
export async function readForm(request: Request): Promise<URLSearchParams> {
  requireType(request, "application/x-www-form-urlencoded");
  return new URLSearchParams(decode(await readBytes(request)));
}

function requireType({ headers }: Request, type: string): void {
  const [sent = "", ...parameters] = (headers.get("content-type") ?? "").toLowerCase().split(";");
  const charsets = parameters.map((each) => each.trim()).filter((each) => each.startsWith("charset="));
  const isUtf8 = charsets.every((charset) => /^charset="?utf-?8"?$/.test(charset));
  if (sent.trim() !== type || !isUtf8 || (headers.get("content-encoding") ?? "identity") !== "identity") {
    throw new HttpProblem(
      415,
      "unsupported_media_type",
      `Send the body as ${type} in UTF-8, not compressed.`,
    );
  }
}

function decode(bytes: Uint8Array): string {
  try {
    // RFC 8259, 8.1: JSON travels as UTF-8; ignoreBOM keeps the mark, which JSON does not have.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new HttpProblem(400, "invalid_body", "The body is not UTF-8.");
  }
}

/** Counts while it reads: a length that was announced proves nothing. */
async function readBytes(request: Request): Promise<Uint8Array> {
  const tooLarge = () =>
    new HttpProblem(413, "body_too_large", `The body may have at most ${MAX_BODY_BYTES} bytes.`);
  if (Number(request.headers.get("content-length")) > MAX_BODY_BYTES) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of request.body ?? []) {
      length += chunk.length;
      if (length > MAX_BODY_BYTES) break; // which cancels the rest
      chunks.push(chunk);
    }
  } catch {
    throw new HttpProblem(400, "invalid_body", "The body could not be read.");
  }
  if (length > MAX_BODY_BYTES) throw tooLarge();
  return Buffer.concat(chunks);
}
