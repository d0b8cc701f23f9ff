import type { ManagedKeyStore } from "../../../../src/index.js";

/** A store that is open, and where it is, so that another process can open it too. */
export interface OpenStore {
  readonly store: ManagedKeyStore;
  /** What `open` of its backend takes. */
  readonly place: string;
  /** Closes the connection; the keys stay. */
  close(): Promise<void>;
}

/** One kind of store through one driver: what the tests of all stores run over. */
export interface Backend {
  /** For the titles of tests, such as `postgresStore over pg`. */
  readonly name: string;
  /** Why it cannot be had on this machine, if it cannot. */
  readonly missing?: string | undefined;
  /** Whether `findByHash` hands out what the store itself keeps. */
  readonly sharedLookups?: boolean;
  /** Makes a store that is fresh, empty and migrated, apart from every other. */
  create(): Promise<OpenStore>;
  /** Opens one that is there, for a second connection. Absent where only one can be. */
  open?(place: string): Promise<OpenStore>;
  /** Forgets one that `create` made. Its connections are closed by then. */
  drop(place: string): Promise<void>;
}
