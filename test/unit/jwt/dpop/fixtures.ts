import { createHash, type KeyObject } from "node:crypto";
import { calculateJwkThumbprint, type JWK } from "jose";
import { ec, jwk, NOW, type Pair, token } from "../fixtures.js";

export const ORIGIN = "https://api.example.com";
export const URI = `${ORIGIN}/vehicles`;

/** The hash of an access token (RFC 9449, 4.2). */
export const athOf = (accessToken: string): string =>
  createHash("sha256").update(accessToken, "ascii").digest("base64url");

/** The thumbprint of a key. */
export const jktOf = (key: KeyObject): Promise<string> => calculateJwkThumbprint(jwk(key) as JWK);

let count = 0;

export interface ProofParts {
  readonly pair?: Pair;
  readonly alg?: string;
  /** Replace members of the header; `undefined` removes one. */
  readonly header?: object;
  /** Replace members of the claims; `undefined` removes one. */
  readonly claims?: object;
  /** The token that the proof is for. */
  readonly token?: string;
  /** The key that signs, if it is not that of the header. */
  readonly signer?: KeyObject | string;
}

/** Creates a DPoP proof; by default a valid one for `GET /vehicles` at the time of the tests. */
export function proofOf({
  pair = ec,
  alg = "ES256",
  header,
  claims,
  token: sent,
  signer,
}: ProofParts = {}): string {
  return token(
    {
      jti: `proof-${count++}`,
      htm: "GET",
      htu: URI,
      iat: NOW,
      ...(sent === undefined ? {} : { ath: athOf(sent) }),
      ...claims,
    },
    { typ: "dpop+jwt", alg, jwk: jwk(pair.publicKey), ...header },
    { alg, key: signer ?? pair.privateKey },
  );
}
