import { StoreError } from "../kit.js";

const MAX_BYTES = 1024 * 1024;

/**
 * Reads the body of a response with status 200, of at most 1 MiB. Counts the bytes, because Content-Length may be wrong.
 *
 * @throws StoreError for another status, such as a redirect, and for a larger body.
 */
export async function readResponse(response: Response, name: string): Promise<Uint8Array> {
  const { status, body } = response;
  if (status !== 200) {
    await body?.cancel();
    throw new StoreError(`The request for ${name} returned status ${status}`);
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.length;
    // Throwing cancels the rest of the body.
    if (length > MAX_BYTES)
      throw new StoreError(`The response to the request for ${name} is larger than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
