/** Options for starting an example. */
export interface ExampleOptions {
  /** The port to listen on; any free port by default. */
  readonly port?: number;
}

/** A running example. */
export interface RunningExample {
  /** The URL, and every credential that a client needs. */
  readonly credentials: { readonly url: string } & Readonly<Record<string, unknown>>;
  /** Commands to try. */
  readonly guide: string;
  close(): Promise<void>;
}

/** The exports of `main.ts` of an example. */
export interface Example {
  start(options?: ExampleOptions): Promise<RunningExample>;
}
