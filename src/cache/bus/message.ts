/** The content of a message. */
export type MessageBody =
  | { readonly type: "ping" }
  /** One key changed. */
  | { readonly type: "changed"; readonly id: string }
  /** Any key may have changed. */
  | { readonly type: "everything" };

export type Message = MessageBody & {
  /** The id of the sending cache. */
  readonly from: string;
  /** Counts the messages of a sender from 1, so that receivers notice a gap. */
  readonly number: number;
};

const VERSION = 1;
const MAX_BYTES = 4_000; // PostgreSQL limits a notification to less than 8,000 bytes
const MAX_SENDER = 64;

/** Encodes a message. One that would be too long is replaced by `everything`. */
export function encodeMessage(message: Message): string {
  const text = JSON.stringify({ v: VERSION, ...message });
  if (Buffer.byteLength(text) <= MAX_BYTES) return text;
  const { from, number } = message;
  return JSON.stringify({ v: VERSION, from, number, type: "everything" });
}

/** Decodes a message. Returns `undefined` if it is invalid. */
export function decodeMessage(text: unknown): Message | undefined {
  if (typeof text !== "string" || text.length > MAX_BYTES) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { v, from, number, type, id } = value as Record<string, unknown>;
  if (v !== VERSION || typeof from !== "string" || from.length > MAX_SENDER) return undefined;
  if (typeof number !== "number" || !Number.isSafeInteger(number) || number < 1) return undefined;
  if (type === "ping" || type === "everything") return { from, number, type };
  return type === "changed" && typeof id === "string" ? { from, number, type, id } : undefined;
}
