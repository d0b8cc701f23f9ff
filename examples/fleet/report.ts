import { STATUS_CODES } from "node:http";
import { styleText } from "node:util";

/** A request of the walk, as a person would describe it. */
export interface Question {
  readonly method?: "GET" | "POST" | "PATCH" | "DELETE";
  readonly path: string;
  /** The secret or JWT to send. */
  readonly secret?: string;
  readonly body?: object;
}

/** What came back. Status 0 stands for no answer at all. */
export interface Answer {
  readonly status: number;
  readonly challenge: string | null;
  readonly body: AnswerBody;
}

/** The members that the walk looks at. */
export interface AnswerBody {
  readonly code?: string;
  readonly name?: string;
  readonly company?: string;
  readonly status?: string;
  readonly lastUsedAt?: string | null;
  readonly missingScopes?: readonly string[];
  readonly problems?: readonly unknown[];
  /** Of a key that was just created. */
  readonly secret?: string;
  readonly key?: { readonly id: string };
  readonly items?: readonly { readonly id: string }[];
  readonly vehicles?: readonly { readonly company: string }[];
  readonly drivers?: readonly { readonly name: string }[];
}

/** What should come back. */
export interface Expected {
  readonly status: number;
  /** The `code` in the body of a refusal; absent: the body must have none. */
  readonly code?: string;
  /** A part of the `WWW-Authenticate` header; absent: there must be no such header. */
  readonly challenge?: string;
  /** More that should be true, in plain words. */
  readonly claims?: Readonly<Record<string, (body: AnswerBody) => boolean>>;
}

/** One expectation, and whether it was met. */
export interface Verdict {
  readonly met: boolean;
  readonly text: string;
}

/** Holds an answer against what it should be. */
export function judge(answer: Answer, expected: Expected): Verdict[] {
  const { challenge, body } = answer;
  const verdicts = [sameAnswer(expected, answer)];
  if (expected.challenge !== undefined || challenge !== null) {
    const met = challenge?.includes(expected.challenge ?? "\0") === true;
    const wanted = expected.challenge ?? "none";
    const text = met ? `the challenge says ${wanted}` : `challenge: expected ${wanted}, got ${challenge}`;
    verdicts.push({ met, text });
  }
  for (const [text, holds] of Object.entries(expected.claims ?? {})) {
    const met = holds(body) === true;
    verdicts.push({ met, text: met ? text : `not so: ${text}` });
  }
  return verdicts;
}

function sameAnswer(expected: Expected, { status, body }: Answer): Verdict {
  const wanted = [expected.status, expected.code].join(" ").trim();
  const got = [status || "no answer", body.code].join(" ").trim();
  const met = wanted === got;
  return { met, text: met ? wanted : `expected ${wanted}, got ${got}` };
}

/** Sends one request. */
export async function ask(url: string, { method = "GET", path, secret, body }: Question): Promise<Answer> {
  const headers: Record<string, string> = { Connection: "close" }; // the walk restarts the server
  if (secret !== undefined) headers.Authorization = `Bearer ${secret}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const init = { method, headers, ...(body && { body: JSON.stringify(body) }) };
  try {
    const response = await fetch(url + path, { ...init, signal: AbortSignal.timeout(10_000) });
    return {
      status: response.status,
      challenge: response.headers.get("WWW-Authenticate"),
      body: (await response.json()) as AnswerBody,
    };
  } catch (error) {
    return { status: 0, challenge: null, body: { code: String((error as Error).cause ?? error) } };
  }
}

export type Report = ReturnType<typeof createReport>;

/** Prints the walk, and keeps count. No secret gets past it: of each it prints what `key.start` has. Nor a JWT. */
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

    exchange(question: Question, answer: Answer, verdicts: readonly Verdict[]): void {
      const { method = "GET", path, secret, body } = question;
      const { status, challenge } = answer;
      print(`    ${paint("cyan", `${method} ${path}`)}${secret ? paint("dim", `  Bearer ${secret}`) : ""}`);
      if (body) print(`      ${pretty(body, 6)}`);
      const phrase = `${status || "no answer"} ${STATUS_CODES[status] ?? ""}`.trim();
      print(`    ${paint(status >= 200 && status < 300 ? "green" : "yellow", phrase)}`);
      if (challenge !== null) print(`      ${paint("dim", `WWW-Authenticate: ${challenge}`)}`);
      print(`      ${pretty(answer.body, 6)}`);
      for (const { met, text } of verdicts) {
        checks++;
        if (!met) failures.push(`${title}: ${text}`);
        print(`    ${met ? paint("green", "✓") : paint("red", "✗")} ${text}`);
      }
    },

    /** Says how it went. @returns whether everything answered as it should. */
    summary(): boolean {
      const wrong = failures.length;
      print();
      print(
        wrong === 0
          ? paint(["bold", "green"], `✓ ${steps} steps, ${checks} checks: everything answered as it should.`)
          : paint(["bold", "red"], `✗ ${steps} steps, ${checks} checks, ${wrong} not as they should be:`),
      );
      for (const failure of failures) print(`  ${paint("red", "✗")} ${failure}`);
      return wrong === 0;
    },
  };
}

/** JSON with the parts that fit on a line kept on one. */
export function pretty(value: unknown, indent = 0): string {
  const isList = Array.isArray(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const parts = Object.entries(value).map(
    ([name, member]) => (isList ? "" : `${JSON.stringify(name)}: `) + pretty(member, indent + 2),
  );
  const [open, close] = isList ? ["[", "]"] : ["{ ", " }"];
  const line = open + parts.join(", ") + close;
  if (parts.length === 0) return isList ? "[]" : "{}";
  if (line.length + indent <= 100 && !line.includes("\n")) return line;
  const margin = " ".repeat(indent);
  return `${open.trim()}\n${parts.map((part) => `${margin}  ${part}`).join(",\n")}\n${margin}${close.trim()}`;
}
