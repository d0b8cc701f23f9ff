export type { SigningAlgorithm } from "../jwt/algorithms.js";
export type { BoundKeyStore } from "../jwt/bound-keys.js";
export type { PrivateKey } from "../jwt/keys.js";
export type { ExchangeRequest, ExchangeResult, IssuedToken } from "./exchange.js";
export type { TokenServiceOptions } from "./options.js";
export type { RevocableToken, RevocationList } from "./revocation-list.js";
export type { SigningKey } from "./signing-key.js";
export { createTokenService, type TokenService } from "./token-service.js";
