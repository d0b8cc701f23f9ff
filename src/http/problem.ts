/** One thing that is wrong with a request. */
export interface Fault {
  /** The member at fault, such as `ipAllowlist[2]`, or `""` for the whole. */
  readonly path: string;
  /** What is wrong with it, as half a sentence. */
  readonly message: string;
}

/** What a fetch handler answers a request with that it cannot serve. */
export class HttpProblem extends Error {
  override readonly name: "HttpProblem" = "HttpProblem";
  readonly status: number;
  /** Stable, in snake_case. */
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Members that the body adds, such as `errors`: a list of {@link Fault}. */
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
