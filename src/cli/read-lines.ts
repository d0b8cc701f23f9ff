/** One line of a stream. */
export interface Line {
  /** The number of the line, from 1. */
  readonly number: number;
  /** The line without its newline; `undefined` if it is too long or not UTF-8. */
  readonly text: string | undefined;
  /** The number of bytes of the stream up to the end of this line. */
  readonly end: number;
}

// Above the longest valid key: 16 KiB of metadata and a thousand networks.
const MAX_BYTES = 262_144;
const NEWLINE = 0x0a;

/** Splits a stream of bytes into lines. Keeps at most one line in memory. */
export async function* readLines(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Line> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let number = 1;
  let end = 0;
  let parts: Uint8Array[] = [];
  let length = 0;

  const append = (part: Uint8Array): void => {
    length += part.length;
    end += part.length;
    if (length > MAX_BYTES) parts = [];
    else if (part.length > 0) parts.push(part);
  };
  const finishLine = (): Line => {
    const line = { number, end, text: length > MAX_BYTES ? undefined : decode(decoder, parts) };
    number += 1;
    parts = [];
    length = 0;
    return line;
  };

  for await (const chunk of stream) {
    let start = 0;
    for (;;) {
      const newline = chunk.indexOf(NEWLINE, start);
      if (newline < 0) break;
      append(chunk.subarray(start, newline));
      end += 1;
      yield finishLine();
      start = newline + 1;
    }
    append(chunk.subarray(start));
  }
  if (length > 0) yield finishLine();
}

function decode(decoder: InstanceType<typeof TextDecoder>, parts: readonly Uint8Array[]): string | undefined {
  try {
    return decoder.decode(Buffer.concat(parts)); // removes a byte order mark
  } catch {
    return undefined;
  }
}
