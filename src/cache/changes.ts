/**
 * Tracks which keys changed since a position, and which are being changed. This decides whether the result of a lookup
 * may be cached.
 */
export interface Changes {
  /** The current position. */
  position(): number;
  add(id: string): void;
  /** Counts as a change of every key. */
  addAll(): void;
  /** Starts a change that takes time. The returned function ends it and must be called once. */
  begin(id: string): () => void;
  /** Whether the key changed since the position, or is being changed now. */
  hasChanged(id: string, position: number): boolean;
}

// A lookup during which more changes than this happen is not cached.
const MAX_CHANGES = 1_024;

export function createChanges(): Changes {
  const recent: string[] = []; // a ring buffer
  const inProgress = new Map<string, number>();
  let count = 0;
  let lastOfAll = 0;

  const add = (id: string): void => {
    recent[count % MAX_CHANGES] = id;
    count += 1;
  };

  const isRecent = (id: string, position: number): boolean => {
    for (let index = position; index < count; index++) if (recent[index % MAX_CHANGES] === id) return true;
    return false;
  };

  return {
    position: () => count,
    add,

    addAll() {
      add("");
      lastOfAll = count;
    },

    begin(id) {
      inProgress.set(id, (inProgress.get(id) ?? 0) + 1);
      return () => {
        const others = (inProgress.get(id) ?? 1) - 1;
        if (others > 0) inProgress.set(id, others);
        else inProgress.delete(id);
        add(id);
      };
    },

    hasChanged: (id, position) =>
      position < lastOfAll || count - position > MAX_CHANGES || inProgress.has(id) || isRecent(id, position),
  };
}
