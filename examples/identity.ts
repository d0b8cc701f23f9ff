import { type CryptoKey, generateKeyPair, SignJWT } from "jose";

/**
 * The identity provider that a real system has already: it signs in people, and gives them JWTs. Its key is made
 * anew with each start.
 */
export interface IdentityProvider {
  readonly issuer: string;
  readonly audience: string;
  readonly algorithms: readonly string[];
  /** What its tokens are verified with. */
  readonly publicKey: CryptoKey;
  /** A token for somebody who has just signed in; good for eight hours. */
  signIn(subject: string, claims?: Readonly<Record<string, unknown>>): Promise<string>;
}

export async function identityProvider(audience: string): Promise<IdentityProvider> {
  const issuer = "https://login.example.com";
  const algorithm = "ES256";
  const { privateKey, publicKey } = await generateKeyPair(algorithm);
  return {
    issuer,
    audience,
    algorithms: [algorithm],
    publicKey,
    signIn: (subject, claims = {}) =>
      new SignJWT({ ...claims })
        .setProtectedHeader({ alg: algorithm, typ: "JWT" })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(subject)
        .setIssuedAt()
        .setExpirationTime("8h")
        .sign(privateKey),
  };
}
