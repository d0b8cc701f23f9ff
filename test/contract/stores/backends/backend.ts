import type { ManagedKeyStore } from "../../../../src/index.js";

/** An open store. */
export interface OpenStore {
  readonly store: ManagedKeyStore;
  /** Identifies the store for `open` and `drop`, also in another process. */
  readonly place: string;
  /** Closes the connection and keeps the keys. */
  close(): Promise<void>;
}

/** A store over one driver, for tests that run over all stores. */
export interface Backend {
  /** For the titles of tests, such as `postgresStore over pg`. */
  readonly name: string;
  /** Why it is not available on this machine. */
  readonly missing?: string | undefined;
  /** Whether `findByHash` returns the stored object itself. */
  readonly sharedLookups?: boolean;
  /** Creates an empty, migrated store that shares nothing with others. */
  create(): Promise<OpenStore>;
  /** Opens an existing store over a second connection. Absent where that is not possible. */
  open?(place: string): Promise<OpenStore>;
  /** Deletes a store after its connections were closed. */
  drop(place: string): Promise<void>;
}
