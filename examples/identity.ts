import { type CryptoKey, generateKeyPair, SignJWT } from "jose";

/** Stands in for the identity provider of a real system, which signs users in. Each start creates a new signing key. */
export interface IdentityProvider {
  readonly issuer: string;
  readonly audience: string;
  readonly algorithms: readonly string[];
  /** Verifies its tokens. */
  readonly publicKey: CryptoKey;
  /** Returns a JWT for a user, valid for eight hours. */
  signIn(subject: string, claims?: Readonly<Record<string, unknown>>): Promise<string>;
}

/** Creates an identity provider with one audience. */
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
