/**
 * Which names (ids of keys, or hashes) have changed since a moment, or are being changed now: what decides
 * whether the answer of a lookup may be kept, or has been overtaken.
 */
export interface Changes {
  /** This moment, to ask about later. */
  mark(): number;
  note(name: string): void;
  /** Counts as a change of every name. */
  noteAll(): void;
  /** A change that takes a while begins; the answer ends it, and is called once. */
  begin(name: string): () => void;
  /** Whether the name has changed since the mark, or a change of it is under way. */
  overtook(name: string, mark: number): boolean;
}

// A lookup during which more than this many changes happen counts as overtaken.
const REMEMBERED = 1_024;

export function createChanges(): Changes {
  const recent: string[] = [];
  const underWay = new Map<string, number>();
  let count = 0;
  let lastOfAll = 0;

  const note = (name: string): void => {
    recent[count % REMEMBERED] = name;
    count += 1;
  };

  const isRecent = (name: string, mark: number): boolean => {
    for (let place = mark; place < count; place++) if (recent[place % REMEMBERED] === name) return true;
    return false;
  };

  return {
    mark: () => count,
    note,

    noteAll() {
      note("");
      lastOfAll = count;
    },

    begin(name) {
      underWay.set(name, (underWay.get(name) ?? 0) + 1);
      return () => {
        const others = (underWay.get(name) ?? 1) - 1;
        if (others > 0) underWay.set(name, others);
        else underWay.delete(name);
        note(name);
      };
    },

    overtook: (name, mark) =>
      mark < lastOfAll || count - mark > REMEMBERED || underWay.has(name) || isRecent(name, mark),
  };
}
