import type { Case, Expected } from "../../contract/guards/case.js";
import type { Upstream } from "../../unit/adapters/fixtures.js";
import { type RawRequest, toBytes } from "../../unit/adapters/raw.js";

/** What an attack is aimed at. */
export const GROUPS = [
  "headers",
  "keys",
  "scopes",
  "network",
  "lifecycle",
  "routes",
  "errors",
  "management",
  "jwt",
  "load",
] as const;
export type Group = (typeof GROUPS)[number];

/** An answer that is not of the wire table of guards: of the server, of a router, of a handler of ours. */
export interface Answer {
  readonly kind: "answer";
  /** Any of these; `hangup` is a connection that is closed without a word. */
  readonly status: readonly (number | "hangup")[];
  /** The statuses are those of the answers of one connection, in this order. */
  readonly inOrder?: true;
  /** The `owner` in each of those answers; `undefined` for a refusal. */
  readonly owners?: readonly (string | undefined)[];
  /** The `code` (or, by RFC 6749, the `error`) of the body. */
  readonly code?: string;
  /** Header fields; `null` must not be there. */
  readonly headers?: Readonly<Record<string, string | null>>;
}

/** What is written, where that is more than one request. */
export interface Traffic {
  /** So many connections at once. 1 when absent. */
  readonly connections?: number;
  /** So many answers on each connection. 1 when absent; none where the client goes silent or away. */
  readonly answers?: number;
  /** Written in pieces of so many bytes, with a turn of the event loop after each. */
  readonly piece?: number;
  /** The client sends nothing more, and still reads. */
  readonly halfClosed?: true;
  /** The bytes of one of many connections, where each has its own. */
  readonly bytesOf?: (connection: number) => string;
}

/** One hostile case, as data. */
export interface Attack {
  /** Such as `headers-07`. */
  readonly id: string;
  readonly group: Group;
  readonly title: string;
  /** The section, advisory or item that it comes from. */
  readonly source: string;
  /** What is written onto the socket, byte by byte. */
  readonly request: RawRequest;
  readonly expected: Expected | Answer;
  /** What stands in front of the service. When absent it is tried with nothing, and behind a trusted proxy. */
  readonly behind?: Upstream;
  /** Against a service whose store fails. */
  readonly broken?: true;
  readonly traffic?: Traffic;
}

export type Draft = Omit<Attack, "id" | "group">;
type More = Pick<Attack, "behind" | "broken" | "traffic">;

/** Numbers the attacks of a group. */
export function catalogue(group: Group, drafts: readonly Draft[]): readonly Attack[] {
  return drafts.map((draft, index) => ({
    id: `${group}-${String(index + 1).padStart(2, "0")}`,
    group,
    ...draft,
  }));
}

export const attack = (
  title: string,
  source: string,
  request: RawRequest,
  expected: Attack["expected"],
  more: More = {},
): Draft => ({ title, source, request, expected, ...more });

/** One of these statuses. */
export const answer = (
  status: number | "hangup" | readonly (number | "hangup")[],
  code?: string,
  headers?: Answer["headers"],
): Answer => ({
  kind: "answer",
  status: Array.isArray(status) ? status : [status as number],
  ...(code === undefined ? {} : { code }),
  ...(headers === undefined ? {} : { headers }),
});

/** What Node, or a framework, refuses before any guard is asked. */
export const REFUSED: Answer = answer([400, 404, 405, 411, 413, 414, 415, 431, 501, "hangup"]);
/** Refused, by the server or by the guard. */
export const NEVER: Answer = answer([401, 400, 404, 405, 411, 413, 414, 415, 431, 501, "hangup"]);

/** The address that the trusted proxy of these attacks saw. */
export const SEEN_BY_PROXY = "203.0.113.200";

/** The same request as it leaves a proxy that appends to `X-Forwarded-For`. */
export function forwarded(request: RawRequest): RawRequest {
  const line = `X-Forwarded-For: ${SEEN_BY_PROXY}`;
  if (request.bytes !== undefined) {
    return { ...request, bytes: request.bytes.replace(/\r\n/, () => `\r\n${line}\r\n`) };
  }
  return { ...request, headers: [line, ...(request.headers ?? [])] };
}

/** The attack as a case of the table that guards are held to. */
export const asCase = ({ title, request, expected }: Attack): Case => ({
  id: title,
  request,
  expected: expected as Expected,
});

/** The bytes as text, one character each. */
export const bytesOf = (request: RawRequest): string => toBytes(request).toString("latin1");
