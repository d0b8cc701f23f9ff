export type { BoundKeyStore } from "../jwt/bound-keys.js";
export type { ExchangeRequest, ExchangeResult, IssuedToken } from "./exchange.js";
export type { TokenServiceOptions } from "./options.js";
export type { RevocationList } from "./revocation-list.js";
export type { PrivateKey, SigningAlgorithm, SigningKey } from "./signing-key.js";
export { createTokenService, type TokenService } from "./token-service.js";
