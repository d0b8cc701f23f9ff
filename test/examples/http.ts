/** What a server answered. */
export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; `undefined` when it is empty. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape
  readonly body: any;
}

/** What to send beside method and path. */
export interface Sent {
  /** A key, or a token. */
  readonly bearer?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly form?: Readonly<Record<string, string>>;
  /** A body as it is, sent as JSON unless `headers` have another type. */
  readonly raw?: string;
}

export type Send = (method: string, path: string, sent?: Sent) => Promise<Reply>;

/** A client of one server; `common` headers go with every request. Every body but an empty one must be JSON. */
export function clientOf(url: string, common: Readonly<Record<string, string>> = {}): Send {
  return async (method, path, { bearer, headers, json, form, raw } = {}) => {
    const text = raw ?? (json === undefined ? undefined : JSON.stringify(json));
    const response = await fetch(url + path, {
      method,
      headers: {
        ...common,
        ...(bearer !== undefined && { Authorization: `Bearer ${bearer}` }),
        ...(text !== undefined && { "Content-Type": "application/json" }),
        ...headers,
      },
      body: form ? new URLSearchParams(form) : (text ?? null),
    });
    const answered = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      text: answered,
      body: answered === "" ? undefined : JSON.parse(answered),
    };
  };
}

/** No date in the future with an offset, each in another way. */
export const MALFORMED_DATES: readonly unknown[] = [
  "",
  "tomorrow",
  "2999-01-01",
  "2999-01-01T00:00:00",
  "2999-02-30T00:00:00Z",
  "2999-13-01T00:00:00Z",
  "2999-01-01T25:00:00Z",
  "2999-01-01T00:00:00+25:00",
  "2999-01-01 00:00:00Z",
  " 2999-01-01T00:00:00Z",
  "2999-01-01T00:00:00Z\n",
  "+012999-01-01T00:00:00Z",
  "2999-1-1T0:0:0Z",
  "2999-W01-1T00:00:00Z",
  "32472144000000",
  32_472_144_000_000,
  true,
  {},
  ["2999-01-01T00:00:00Z"],
  "2001-01-01T00:00:00Z",
  "2999-01-01T00:00:00Z; DROP TABLE keys",
];

/** Names that a key may have, and that must come back as they were. */
export const ODD_NAMES: readonly string[] = [
  `"quoted" 'single' \\ backslash`,
  "'; DROP TABLE api_keys; --",
  "<script>alert(1)</script>",
  "{{7*7}} #{7*7} %s %n",
  "🚚 Überführung 東京",
  "__proto__",
  "x".repeat(255),
];
