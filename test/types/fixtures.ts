import {
  createKeyManager,
  createVerifier,
  defineScopes,
  keyFormat,
  type Principal,
  type Verifier,
} from "../../src/index.js";
import { memoryStore } from "../../src/stores/memory.js";

const scopes = defineScopes({ "vehicles:read": {}, "vehicles:write": { implies: ["vehicles:read"] } });
const format = keyFormat({ prefix: "ezt" });
const store = memoryStore();

export type Scope = "vehicles:read" | "vehicles:write";
export type Known = Principal<Scope>;

export const keys = createKeyManager({ store, scopes, format });
export const verifier: Verifier<Scope> = createVerifier({ store, scopes, format });
