import type { Case } from "./case.js";
import { credentialCases } from "./cases/credential.js";
import { httpCases } from "./cases/http.js";
import { keyCases } from "./cases/key.js";
import { networkCases } from "./cases/network.js";
import { scopeCases } from "./cases/scope.js";

/** The cases of the contract, for every framework. */
export const cases: readonly Case[] = [
  ...credentialCases,
  ...keyCases,
  ...scopeCases,
  ...networkCases,
  ...httpCases,
];
