/** What one instance tells all. */
export type News =
  | { readonly type: "ping" }
  /** A key was changed; `added`: a hash may have a key that had none. */
  | { readonly type: "changed"; readonly id: string; readonly added: boolean }
  /** Any key may have been changed. */
  | { readonly type: "everything" };

export type Message = News & {
  /** The instance that sent it. */
  readonly from: string;
  /** Its messages are numbered from 1, so that a lost one is noticed. */
  readonly number: number;
};

const VERSION = 1;
// PostgreSQL takes notifications of less than 8,000 bytes.
const MAX_BYTES = 4_000;
const MAX_SENDER = 64;

/** The text of a message; one that would be too long says that everything has changed. */
export function encodeMessage(message: Message): string {
  const text = JSON.stringify({ v: VERSION, ...message });
  if (Buffer.byteLength(text) <= MAX_BYTES) return text;
  const { from, number } = message;
  return JSON.stringify({ v: VERSION, from, number, type: "everything" });
}

/** Reads a message; `undefined` for anything else. */
export function decodeMessage(text: unknown): Message | undefined {
  if (typeof text !== "string" || text.length > MAX_BYTES) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { v, from, number, type, id, added } = value as Record<string, unknown>;
  if (v !== VERSION || typeof from !== "string" || from.length > MAX_SENDER) return undefined;
  if (typeof number !== "number" || !Number.isSafeInteger(number) || number < 1) return undefined;
  if (type === "ping" || type === "everything") return { from, number, type };
  if (type !== "changed" || typeof id !== "string" || typeof added !== "boolean") return undefined;
  return { from, number, type, id, added };
}
