import { memoryStore } from "../../../../src/stores/memory.js";
import type { Backend } from "./backend.js";

export function memoryBackends(): readonly Backend[] {
  return [
    {
      name: "memoryStore",
      sharedLookups: true,
      create: async () => ({ store: memoryStore(), place: "", close: async () => {} }),
      drop: async () => {},
    },
  ];
}
