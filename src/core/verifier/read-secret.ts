import { isGenerated, type KeyFormat, type ParsedSecret } from "../keys/format.js";
import { type CredentialSource, isB64Token, locateCredential } from "../requests/credential.js";
import type { AuthRequest } from "../requests/request.js";

/** A secret, and what its format says about it. */
interface ReadableSecret {
  readonly fault?: undefined;
  readonly secret: string;
  readonly parsed: ParsedSecret;
}

interface SecretFault {
  readonly fault: "missing_credential" | "malformed_credential" | "unrecognized_format";
}

/** Reads the secret of a request, or returns why there is none. */
export type ReadSecret = (request: AuthRequest) => ReadableSecret | SecretFault;

const MALFORMED: SecretFault = Object.freeze({ fault: "malformed_credential" });
const UNRECOGNIZED: SecretFault = Object.freeze({ fault: "unrecognized_format" });
const MAX_LENGTH = 512; // longer than any secret of keyFormat

/** Creates the function that reads secrets. The first format that recognizes a secret is used. */
export function createReadSecret(source: CredentialSource, formats: readonly KeyFormat[]): ReadSecret {
  const parsers = formats.map(toParser);
  return (request) => {
    const located = locateCredential(request, source);
    if (located.fault !== undefined) return located;
    const { value, begin } = located;
    for (const parse of parsers) {
      const parsed = parse(value, begin);
      if (parsed) return { secret: value.slice(begin), parsed };
    }
    return isB64Token(value.slice(begin)) ? UNRECOGNIZED : MALFORMED;
  };
}

/** Whether one of the formats recognizes a text as a secret. */
export function isSecret(formats: readonly KeyFormat[], text: string): boolean {
  return formats.some((format) => toParser(format)(text, 0) !== undefined);
}

/** Generated formats parse the secret inside the header; custom ones receive only well-formed credentials. */
function toParser(format: KeyFormat): (value: string, begin: number) => ParsedSecret | undefined {
  if (isGenerated(format)) return format.parse;
  return (value, begin) => {
    const secret = value.slice(begin);
    return secret.length <= MAX_LENGTH && isB64Token(secret) ? format.parse(secret) : undefined;
  };
}
