/** One line of a stream. */
export interface Line {
  /** From 1. */
  readonly number: number;
  /** Without its end; `undefined` when it is too long or no UTF-8. */
  readonly text: string | undefined;
  /** How far into the stream it reaches, in bytes. */
  readonly end: number;
}

// The longest key that a manager takes has 16 KiB of metadata and a thousand networks.
const MAX_BYTES = 262_144;
const NEWLINE = 0x0a;

/** Cuts a stream of bytes into lines, with no more than one line in memory. */
export async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Line> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let number = 1;
  let end = 0;
  let parts: Uint8Array[] = [];
  let length = 0;

  const add = (part: Uint8Array): void => {
    length += part.length;
    end += part.length;
    if (length > MAX_BYTES) parts = [];
    else if (part.length > 0) parts.push(part);
  };
  const take = (): Line => {
    const line = { number, end, text: length > MAX_BYTES ? undefined : decoded(decoder, parts) };
    number += 1;
    parts = [];
    length = 0;
    return line;
  };

  for await (const chunk of stream) {
    let begin = 0;
    for (;;) {
      const found = chunk.indexOf(NEWLINE, begin);
      if (found < 0) break;
      add(chunk.subarray(begin, found));
      end += 1;
      yield take();
      begin = found + 1;
    }
    add(chunk.subarray(begin));
  }
  if (length > 0) yield take();
}

/** The decoder leaves a byte order mark out. */
function decoded(
  decoder: InstanceType<typeof TextDecoder>,
  parts: readonly Uint8Array[],
): string | undefined {
  try {
    return decoder.decode(Buffer.concat(parts));
  } catch {
    return undefined;
  }
}
