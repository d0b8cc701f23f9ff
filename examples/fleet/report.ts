import { STATUS_CODES } from "node:http";
import { styleText } from "node:util";

/** A request of the scenario. */
export interface DemoRequest {
  readonly method?: "GET" | "POST" | "PATCH" | "DELETE";
  readonly path: string;
  /** The secret or JWT to send. */
  readonly secret?: string;
  readonly body?: object;
}

/** A response. The status is 0 if there was none. */
export interface DemoResponse {
  readonly status: number;
  readonly challenge: string | null;
  readonly body: ResponseBody;
}

/** The members of bodies that the scenario checks. */
export interface ResponseBody {
  readonly code?: string;
  readonly name?: string;
  readonly company?: string;
  readonly status?: string;
  readonly lastUsedAt?: string | null;
  readonly missingScopes?: readonly string[];
  readonly problems?: readonly unknown[];
  /** The secret of a new key. */
  readonly secret?: string;
  readonly key?: { readonly id: string };
  readonly items?: readonly { readonly id: string }[];
  readonly vehicles?: readonly { readonly company: string }[];
  readonly drivers?: readonly { readonly name: string }[];
}

/** The expected response. */
export interface Expected {
  readonly status: number;
  /** The `code` in the body. If absent, the body must have none. */
  readonly code?: string;
  /** A part of the `WWW-Authenticate` header. If absent, there must be no such header. */
  readonly challenge?: string;
  /** Further conditions, by their description. */
  readonly conditions?: Readonly<Record<string, (body: ResponseBody) => boolean>>;
}

/** The result of one check. */
export interface CheckResult {
  readonly passed: boolean;
  readonly text: string;
}

/** Compares a response with the expected one. */
export function checkResponse(response: DemoResponse, expected: Expected): CheckResult[] {
  const { challenge, body } = response;
  const results = [checkStatus(response, expected)];
  if (expected.challenge !== undefined || challenge !== null) {
    const passed = challenge?.includes(expected.challenge ?? "\0") === true;
    const wanted = expected.challenge ?? "none";
    const text = passed ? `challenge ${wanted}` : `challenge: expected ${wanted}, received ${challenge}`;
    results.push({ passed, text });
  }
  for (const [text, holds] of Object.entries(expected.conditions ?? {})) {
    const passed = holds(body) === true;
    results.push({ passed, text: passed ? text : `not true: ${text}` });
  }
  return results;
}

function checkStatus({ status, body }: DemoResponse, expected: Expected): CheckResult {
  const wanted = [expected.status, expected.code].join(" ").trim();
  const received = [status || "no response", body.code].join(" ").trim();
  const passed = wanted === received;
  return { passed, text: passed ? wanted : `expected ${wanted}, received ${received}` };
}

/** Sends one request. */
export async function sendRequest(
  url: string,
  { method = "GET", path, secret, body }: DemoRequest,
): Promise<DemoResponse> {
  const headers: Record<string, string> = { Connection: "close" }; // the scenario restarts the server
  if (secret !== undefined) headers.Authorization = `Bearer ${secret}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const init = { method, headers, ...(body && { body: JSON.stringify(body) }) };
  try {
    const response = await fetch(url + path, { ...init, signal: AbortSignal.timeout(10_000) });
    return {
      status: response.status,
      challenge: response.headers.get("WWW-Authenticate"),
      body: (await response.json()) as ResponseBody,
    };
  } catch (error) {
    return { status: 0, challenge: null, body: { code: String((error as Error).cause ?? error) } };
  }
}

export type Report = ReturnType<typeof createReport>;

/** Creates a report that prints requests and counts checks. Secrets and JWTs are cut to their first characters. */
export function createReport(write: (line: string) => void, colour: boolean) {
  const paint = (style: Parameters<typeof styleText>[0], text: string) =>
    colour ? styleText(style, text) : text;
  const print = (line = "") =>
    write(line.replace(/\b(ezt_[a-z]+_\w{4})\w+/g, "$1…").replace(/\b(eyJ\w{4})[\w.-]+/g, "$1…"));
  const failures: string[] = [];
  let steps = 0;
  let checks = 0;
  let title = "";

  return {
    print,
    heading: (text: string) => print(paint("bold", text)),
    note: (text: string) => print(`    ${paint("dim", text)}`),

    step(text: string): void {
      steps++;
      title = `${steps}. ${text}`;
      print();
      print(paint("bold", title.padStart(title.length + (steps < 10 ? 1 : 0))));
    },

    exchange(request: DemoRequest, response: DemoResponse, results: readonly CheckResult[]): void {
      const { method = "GET", path, secret, body } = request;
      const { status, challenge } = response;
      print(`    ${paint("cyan", `${method} ${path}`)}${secret ? paint("dim", `  Bearer ${secret}`) : ""}`);
      if (body) print(`      ${brief(body)}`);
      const phrase = `${status || "no response"} ${STATUS_CODES[status] ?? ""}`.trim();
      print(`    ${paint(status >= 200 && status < 300 ? "green" : "yellow", phrase)}`);
      if (challenge !== null) print(`      ${paint("dim", `WWW-Authenticate: ${challenge}`)}`);
      print(`      ${brief(response.body)}`);
      for (const { passed, text } of results) {
        checks++;
        if (passed) continue;
        failures.push(`${title}: ${text}`);
        print(`    ${paint("red", "✗")} ${text}`);
      }
      const passed = results.filter((result) => result.passed).map(({ text }) => text);
      if (passed.length > 0) print(`    ${paint("green", "✓")} ${passed.join("; ")}`);
    },

    /** Prints the number of passed and failed checks. Returns whether all passed. */
    summary(): boolean {
      const failed = failures.length;
      print();
      print(
        failed === 0
          ? paint(["bold", "green"], `✓ ${steps} steps, ${checks} checks: all passed.`)
          : paint(["bold", "red"], `✗ ${steps} steps, ${checks} checks: ${failed} failed.`),
      );
      for (const failure of failures) print(`  ${paint("red", "✗")} ${failure}`);
      return failed === 0;
    },
  };
}

/** Formats JSON on one line, and cuts what is longer than 110 characters. */
export function brief(value: unknown): string {
  const json = JSON.stringify(value);
  return json.length <= 110 ? json : `${json.slice(0, 109)}…`;
}
