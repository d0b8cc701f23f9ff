import { KeyInputError, KeyNotFoundError, StoreError } from "../errors.js";
import { type ApiKey, isPresent } from "../keys/record.js";
import type { Page } from "../keys/store.js";
import type { RevokeAllFilter, RevokeAllOptions, RevokeAllResult, RevokeOptions } from "./change-options.js";
import { checkMembers, readActor, readCaller, readId, readLabel } from "./input.js";
import type { PreparedManager } from "./options.js";
import type { Caller, Repository } from "./repository.js";

const PAGE_SIZE = 100;
const CONCURRENCY = 10;
// Bounds the memory of a walk. A key that is no longer remembered is visited again, which changes nothing.
const MAX_SEEN = 100_000;

/** Implements {@link KeyManager.revoke}. */
export async function revokeKey(
  manager: PreparedManager<string>,
  repository: Repository,
  id: string,
  options: RevokeOptions,
): Promise<ApiKey> {
  const caller = readCaller("revoke", options, "reason", "descendants");
  const reason = readLabel("reason", options.reason);
  const { descendants = false } = options;
  if (typeof descendants !== "boolean") throw new KeyInputError("descendants", "must be true or false");
  const { key } = await revokeOne(repository, id, caller, reason);
  if (descendants) {
    const walk = createWalk(manager, repository, { actor: caller.actor, reason });
    await walk.revoke([firstOf(key), id]);
    walk.finish();
  }
  return key;
}

/** Implements {@link KeyManager.revokeAll}. */
export async function revokeAllKeys(
  manager: PreparedManager<string>,
  repository: Repository,
  filter: RevokeAllFilter,
  options: RevokeAllOptions,
): Promise<RevokeAllResult> {
  checkMembers("revokeAll", filter, ["ownerId", "createdByKey"]);
  const [given, ...others] = Object.entries(filter);
  if (given === undefined || others.length > 0) {
    throw new KeyInputError("revokeAll", 'must have either "ownerId" or "createdByKey"');
  }
  const value = readId(...given);
  checkMembers("revokeAll", options, ["actor", "reason"]);
  const facts = { actor: readActor(options.actor), reason: readLabel("reason", options.reason) };
  const walk = createWalk(manager, repository, facts);
  if (given[0] === "ownerId") {
    await walk.revokePages({ ownerId: value });
  } else {
    for (const id of await chainOf(repository, value)) await walk.revokePages({ createdByKey: id });
  }
  return { revoked: walk.finish() };
}

type Facts = { readonly actor: string | null; readonly reason: string | null };

/** Revokes a key. `isChanged`: it was not revoked before. */
export async function revokeOne(
  repository: Repository,
  id: string,
  caller: Caller,
  reason: string | null,
): Promise<{ readonly key: ApiKey; readonly isChanged: boolean }> {
  let isChanged = false;
  const key = await repository.change(id, caller, (record, at) => {
    isChanged = !isPresent(record.revokedAt);
    return isChanged
      ? { action: "revoked", change: { revokedAt: at, revokedReason: reason }, details: { reason } }
      : undefined;
  });
  return { key, isChanged };
}

/** Returns the id of the first key of a rotation chain. Successors of version 0.1 have no root. */
export function firstOf({
  id,
  rotationRoot,
  replaces,
}: Pick<ApiKey, "id" | "rotationRoot" | "replaces">): string {
  return rotationRoot ?? replaces ?? id;
}

/** Returns the ids of the keys of a rotation chain. All of them have the same holder. */
async function chainOf(repository: Repository, id: string): Promise<ReadonlySet<string>> {
  const key = await repository.read(id);
  const ids = new Set<string>();
  for (let next: string | null = key ? firstOf(key) : id; next !== null && !ids.has(next); ) {
    ids.add(next);
    next = await successorOf(repository, next, await repository.read(next));
  }
  return ids.add(id);
}

/** Returns the id of the successor of a key. That of a purged key is in its audit trail, which is kept. */
async function successorOf(
  repository: Repository,
  keyId: string,
  key: Pick<ApiKey, "replacedBy"> | undefined,
): Promise<string | null> {
  if (key !== undefined) return key.replacedBy;
  let cursor: string | undefined;
  do {
    const page = await repository.auditTrail({ keyId, limit: PAGE_SIZE, cursor });
    const rotation = page.items.find(({ action }) => action === "rotated");
    if (rotation !== undefined) {
      const { replacedBy } = rotation.details;
      return typeof replacedBy === "string" ? replacedBy : null;
    }
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return null;
}

/**
 * Creates a walk over keys and everything that they made. A key is revoked first, then its successors, then the list of
 * the keys that it made is read: the store inserts no key after the revocation of its creator, and a revoked key cannot be
 * rotated, so no key escapes. A walk that failed can be repeated: it also walks the keys that are already revoked.
 */
function createWalk({ now }: PreparedManager<string>, repository: Repository, { actor, reason }: Facts) {
  const caller: Caller = { actor, check: undefined, beforeCommit: undefined };
  const seen = new Set<string>();
  /** The keys whose children are still to be read; the number grows with the depth of the tree only. */
  const creators: { readonly id: string; readonly cursor?: string | undefined }[] = [];
  const damaged: string[] = [];
  let revoked = 0;

  const revokeIfStored = async (id: string): Promise<ApiKey | undefined> => {
    try {
      const { key, isChanged } = await revokeOne(repository, id, caller, reason);
      if (isChanged) revoked += 1;
      return key;
    } catch (error) {
      if (error instanceof KeyNotFoundError) return undefined; // purged
      throw error;
    }
  };

  /** Revokes a key and its successors. */
  const visit = async (first: string): Promise<void> => {
    for (let id: string | null = first; id !== null && !seen.has(id); ) {
      if (seen.size >= MAX_SEEN) seen.clear();
      seen.add(id);
      creators.push({ id });
      const key = await revokeIfStored(id);
      id = await successorOf(repository, id, key);
    }
  };

  const visitPage = async ({ items, damaged: unreadable = [] }: Page<{ readonly id: string }>) => {
    for (let start = 0; start < items.length; start += CONCURRENCY) {
      await Promise.all(items.slice(start, start + CONCURRENCY).map(({ id }) => visit(id)));
    }
    for (const id of unreadable) {
      if (damaged.length < 10) damaged.push(id);
      creators.push({ id });
    }
  };

  const revokeDescendants = async (): Promise<void> => {
    for (let creator = creators.pop(); creator !== undefined; creator = creators.pop()) {
      const { id, cursor } = creator;
      const page = await repository.list({ now: now(), createdByKey: id, limit: PAGE_SIZE, cursor });
      if (page.nextCursor !== undefined) creators.push({ id, cursor: page.nextCursor });
      await visitPage(page);
    }
  };

  return {
    /** Revokes keys and everything that they made. */
    async revoke(ids: readonly string[]): Promise<void> {
      await visitPage({ items: ids.map((id) => ({ id })) });
      await revokeDescendants();
    },

    /** Revokes the keys of a list, page by page, and everything that they made. */
    async revokePages(
      filter: { readonly ownerId: string } | { readonly createdByKey: string },
    ): Promise<void> {
      let cursor: string | undefined;
      do {
        const page = await repository.list({ now: now(), ...filter, limit: PAGE_SIZE, cursor });
        await visitPage(page);
        await revokeDescendants();
        cursor = page.nextCursor;
      } while (cursor !== undefined);
    },

    /**
     * Returns the number of keys that were revoked.
     *
     * @throws StoreError if keys cannot be read. Verifiers reject them, but they are not revoked.
     */
    finish(): number {
      if (damaged.length === 0) return revoked;
      throw new StoreError(`Keys cannot be read and were not revoked: ${damaged.join(", ")}`);
    },
  };
}
