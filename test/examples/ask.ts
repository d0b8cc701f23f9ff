/** What a request is to have. */
export interface Sent {
  /** A key, or a token. */
  readonly bearer?: string;
  readonly json?: unknown;
  readonly form?: Readonly<Record<string, string>>;
  /** A body as it is, sent as JSON. */
  readonly raw?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends one request to an example, and reads the answer. Every body but an empty one must be JSON. */
export async function ask(url: string, method = "GET", { bearer, json, form, raw, headers }: Sent = {}) {
  const text = raw ?? (json === undefined ? undefined : JSON.stringify(json));
  const response = await fetch(url, {
    method,
    headers: {
      ...(text !== undefined && { "Content-Type": "application/json" }),
      ...(bearer !== undefined && { Authorization: `Bearer ${bearer}` }),
      ...headers,
    },
    body: form ? new URLSearchParams(form) : (text ?? null),
  });
  const answer = await response.text();
  const body = answer === "" ? undefined : JSON.parse(answer);
  return { status: response.status, headers: response.headers, text: answer, body };
}
