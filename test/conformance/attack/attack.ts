import type { Case, Expected } from "../../contract/guards/case.js";
import type { Upstream } from "../../unit/adapters/fixtures.js";
import { type RawRequest, toBytes } from "../../unit/adapters/raw.js";

/** The groups of the catalogue. */
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

/** An expected response that is not in the wire table of guards: of the server, a router or a handler. */
export interface StatusExpectation {
  readonly kind: "status";
  /** The accepted statuses; `hangup` is a connection that is closed without a response. */
  readonly status: readonly (number | "hangup")[];
  /** Whether the statuses are those of successive responses on one connection. */
  readonly inOrder?: true;
  /** The `owner` in each of those responses; `undefined` for a denial. */
  readonly owners?: readonly (string | undefined)[];
  /** The `code` of the body (in RFC 6749, `error`). */
  readonly code?: string;
  /** Header fields; `null` means absent. */
  readonly headers?: Readonly<Record<string, string | null>>;
}

/** How the bytes are sent, if not as one request. */
export interface Traffic {
  /** Number of concurrent connections. 1 by default. */
  readonly connections?: number;
  /** Number of responses to read on each connection. 1 by default, 0 if the client stops or disconnects. */
  readonly responses?: number;
  /** Writes pieces of this many bytes, with a turn of the event loop after each. */
  readonly piece?: number;
  /** Whether the client ends its side of the connection and still reads. */
  readonly halfClosed?: true;
  /** Returns the bytes of one connection, if they differ. */
  readonly bytesOf?: (connection: number) => string;
}

/** An attack, as data. */
export interface Attack {
  /** The id, such as `headers-07`. */
  readonly id: string;
  readonly group: Group;
  readonly title: string;
  /** The section of a standard, the advisory or the weakness behind it. */
  readonly source: string;
  /** The bytes sent to the socket. */
  readonly request: RawRequest;
  readonly expected: Expected | StatusExpectation;
  /** The proxy in front of the service. By default the attack runs without one and behind a trusted one. */
  readonly behind?: Upstream;
  /** Whether the store of the service fails. */
  readonly broken?: true;
  readonly traffic?: Traffic;
}

export type Draft = Omit<Attack, "id" | "group">;
type More = Pick<Attack, "behind" | "broken" | "traffic">;

/** Assigns ids to the attacks of a group. */
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

/** Expects one of these statuses. */
export const status = (
  expected: number | "hangup" | readonly (number | "hangup")[],
  code?: string,
  headers?: StatusExpectation["headers"],
): StatusExpectation => ({
  kind: "status",
  status: Array.isArray(expected) ? expected : [expected as number],
  ...(code === undefined ? {} : { code }),
  ...(headers === undefined ? {} : { headers }),
});

/** Rejected by Node or the framework, before a guard runs. */
export const REJECTED: StatusExpectation = status([400, 404, 405, 411, 413, 414, 415, 431, 501, "hangup"]);
/** Rejected by Node, the framework or the guard. */
export const NOT_ALLOWED: StatusExpectation = status([
  401,
  400,
  404,
  405,
  411,
  413,
  414,
  415,
  431,
  501,
  "hangup",
]);

/** The client address that the trusted proxy reports. */
export const SEEN_BY_PROXY = "203.0.113.200";

/** Returns the request with the `X-Forwarded-For` line that a proxy adds. */
export function forwarded(request: RawRequest): RawRequest {
  const line = `X-Forwarded-For: ${SEEN_BY_PROXY}`;
  if (request.bytes !== undefined) {
    return { ...request, bytes: request.bytes.replace(/\r\n/, () => `\r\n${line}\r\n`) };
  }
  return { ...request, headers: [line, ...(request.headers ?? [])] };
}

/** Converts an attack to a case of the guard contract. */
export const asCase = ({ title, request, expected }: Attack): Case => ({
  id: title,
  request,
  expected: expected as Expected,
});

/** Returns the bytes as a string, one character per byte. */
export const bytesOf = (request: RawRequest): string => toBytes(request).toString("latin1");
