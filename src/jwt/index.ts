export type { BoundKeyStore } from "./bound-keys.js";
export type { JwtClaims } from "./claims.js";
export type { KeyOptions } from "./keys.js";
export type { JwtVerifierOptions } from "./options.js";
export type { StaticKey } from "./static-key.js";
export type { JwtSubject } from "./subject.js";
export { createJwtVerifier } from "./verifier.js";
