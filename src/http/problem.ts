import { redactName } from "../internal/redact.js";

/** One invalid member of a request. */
export interface InputIssue {
  /** The member, such as `ipAllowlist[2]`; `""` for the whole body. */
  readonly path: string;
  /** What is wrong with it, without a subject, such as `must be a string`. */
  readonly message: string;
}

/** An error response of a fetch handler, to be thrown. */
export class HttpProblem extends Error {
  override readonly name: "HttpProblem" = "HttpProblem";
  readonly status: number;
  /** Stable, in snake_case. */
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Further members of the body, such as `errors`: an array of {@link InputIssue}. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    status: number,
    code: string,
    message: string,
    {
      headers = {},
      details = {},
    }: { headers?: Readonly<Record<string, string>>; details?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
    this.details = details;
  }
}

/** Formats the path of a member, such as `ipAllowlist[2]`. An unknown name at its end is redacted. */
export function formatPath(steps: readonly PropertyKey[], unknownName?: string): string {
  let path = "";
  const names = unknownName === undefined ? steps : [...steps, redactName(unknownName)];
  for (const step of names) {
    if (typeof step === "number") path += `[${step}]`;
    else path += `${path === "" ? "" : "."}${String(step)}`;
  }
  return path;
}
