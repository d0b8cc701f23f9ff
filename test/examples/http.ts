/** The response of a server. */
export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; `undefined` if it is empty. */
  // biome-ignore lint/suspicious/noExplicitAny: bodies have many shapes
  readonly body: any;
}

/** The parts of a request besides method and path. */
export interface RequestParts {
  /** A key or a token. */
  readonly bearer?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly form?: Readonly<Record<string, string>>;
  /** A raw body, sent as JSON unless `headers` has another content type. */
  readonly raw?: string;
}

export type Send = (method: string, path: string, parts?: RequestParts) => Promise<Reply>;

/** Creates a client of one server. `common` headers are sent with every request. Throws if a body is not JSON. */
export function createClient(url: string, common: Readonly<Record<string, string>> = {}): Send {
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
    const received = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      text: received,
      body: received === "" ? undefined : JSON.parse(received),
    };
  };
}

/** Values that are not a future date with an offset. */
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

/** Valid names of keys, which must be returned unchanged. */
export const ODD_NAMES: readonly string[] = [
  `"quoted" 'single' \\ backslash`,
  "'; DROP TABLE api_keys; --",
  "<script>alert(1)</script>",
  "{{7*7}} #{7*7} %s %n",
  "🚚 Überführung 東京",
  "__proto__",
  "x".repeat(255),
];
