export type { BoundKeyStore } from "./bound-keys.js";
export type { JwtClaims } from "./claims.js";
export type { DpopOptions } from "./dpop/options.js";
export type { ReplayStore } from "./dpop/replays.js";
export type { KeyOptions } from "./key-source.js";
export type { StaticKey } from "./keys.js";
export type { JwtVerifierOptions } from "./options.js";
export type { JwtSubject } from "./subject.js";
export { createJwtVerifier } from "./verifier.js";
