import type { Notice } from "./notices.js";

const MAX_PENDING = 100_000;
/** The share of one owner. */
const MAX_OF_OWNER = 100;
const CONCURRENCY = 50;
/** How many attempts may go to owners whose last attempt failed, so that slow endpoints delay no other owner. */
const MAX_FAILING = 25;

/** A notice and when it is tried next. */
export interface Pending {
  readonly notice: Notice;
  attempts: number;
  nextAt: number;
}

interface Owner {
  readonly notices: Map<string, Pending>;
  isBusy: boolean;
  isFailing: boolean;
}

/** The notices that are to be delivered. */
export interface Queue {
  /** Adds a notice, unless it is there. Returns `false` if its owner, or the queue, has too many. */
  add(notice: Notice): boolean;
  remove(notice: Notice): void;
  /** Returns a notice that is due: one at a time for each owner, and owners in turn. `release` ends the attempt. */
  take(now: number): Pending | undefined;
  release(notice: Notice, isFailed: boolean): void;
}

export function createQueue(): Queue {
  // In the order of their turns: an owner goes to the end when its attempt ends.
  const owners = new Map<string, Owner>();
  let size = 0;
  let busy = 0;
  let busyFailing = 0;

  return {
    add(notice) {
      const owner = owners.get(notice.ownerId) ?? { notices: new Map(), isBusy: false, isFailing: false };
      if (owner.notices.has(notice.id)) return true;
      if (size >= MAX_PENDING || owner.notices.size >= MAX_OF_OWNER) return false;
      owner.notices.set(notice.id, { notice, attempts: 0, nextAt: 0 });
      owners.set(notice.ownerId, owner);
      size += 1;
      return true;
    },

    remove({ id, ownerId }) {
      if (owners.get(ownerId)?.notices.delete(id)) size -= 1;
    },

    take(now) {
      if (busy >= CONCURRENCY) return undefined;
      for (const owner of owners.values()) {
        if (owner.isBusy || (owner.isFailing && busyFailing >= MAX_FAILING)) continue;
        for (const pending of owner.notices.values()) {
          if (pending.nextAt > now) continue;
          owner.isBusy = true;
          busy += 1;
          if (owner.isFailing) busyFailing += 1;
          return pending;
        }
      }
      return undefined;
    },

    release({ ownerId }, isFailed) {
      const owner = owners.get(ownerId);
      if (owner === undefined) return;
      busy -= 1;
      if (owner.isFailing) busyFailing -= 1;
      owner.isBusy = false;
      owner.isFailing = isFailed;
      owners.delete(ownerId);
      if (owner.notices.size > 0) owners.set(ownerId, owner);
    },
  };
}
