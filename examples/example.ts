/** How to start one of the example systems. */
export interface ExampleOptions {
  /** 0 for any free one. */
  readonly port?: number;
}

/** A system that answers requests. */
export interface RunningExample {
  /** Where it is, and every credential that a client needs to begin. */
  readonly credentials: { readonly url: string } & Readonly<Record<string, unknown>>;
  /** For people: what to try. */
  readonly guide: string;
  close(): Promise<void>;
}

/** What `main.ts` in the folder of an example exports. */
export interface Example {
  start(options?: ExampleOptions): Promise<RunningExample>;
}
