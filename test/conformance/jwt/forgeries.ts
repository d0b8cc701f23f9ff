import {
  AUDIENCE,
  CLAIMS,
  claimsWith,
  ec,
  encode,
  ISSUER,
  jwk,
  NOW,
  otherEc,
  pem,
  rsa,
  SECRET,
  signature,
  token,
} from "../../unit/jwt/fixtures.js";

/** A forged or malformed token. The verifiers of the tests accept ES256 with one key. */
export interface Forgery {
  readonly name: string;
  readonly token: string;
}

const valid = token();
const [validHeader = "", validClaims = "", validSignature = ""] = valid.split(".");
const list: Forgery[] = [];
const add = (name: string, forged: string): void => void list.push({ name, token: forged });

/** Encodes the same bytes with other trailing bits. */
function otherTail(part: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const last = alphabet.indexOf(part.at(-1) as string);
  const twin = [...alphabet].find(
    (letter, index) =>
      index !== last &&
      Buffer.from(part.slice(0, -1) + letter, "base64url").equals(Buffer.from(part, "base64url")),
  );
  if (twin === undefined) throw new Error("this part has no trailing bits");
  return part.slice(0, -1) + twin;
}

// Without a signature (RFC 7518, 3.6; RFC 8725, 2.1)
for (const alg of ["none", "None", "NONE", "nOnE", "none ", ""]) {
  add(`alg ${JSON.stringify(alg)}, no signature`, `${encode({ alg })}.${validClaims}.`);
  add(`alg ${JSON.stringify(alg)}, some signature`, `${encode({ alg })}.${validClaims}.${validSignature}`);
}
add("the valid header, no signature", `${validHeader}.${validClaims}.`);
add(
  "a signature of zeros (r = s = 0)",
  `${validHeader}.${validClaims}.${Buffer.alloc(64).toString("base64url")}`,
);
add(
  "an empty signature in DER",
  `${validHeader}.${validClaims}.${Buffer.from([0x30, 6, 2, 1, 0, 2, 1, 0]).toString("base64url")}`,
);
add("a signature of one byte", `${validHeader}.${validClaims}.AA`);
add("a truncated signature", valid.slice(0, -4));
add("the signature twice", `${valid}${validSignature}`);

// An algorithm that the key is not for (RFC 8725, 2.1)
for (const key of [pem(ec.publicKey), pem(rsa.publicKey), pem(ec.publicKey).trim(), SECRET, ""]) {
  for (const alg of ["HS256", "HS512"]) {
    add(
      `${alg} with ${JSON.stringify(key.slice(0, 30))} (${key.length})`,
      token(CLAIMS, { alg }, { alg, key }),
    );
  }
}
add(
  "HS256 with the DER of the public key",
  token(
    CLAIMS,
    { alg: "HS256" },
    {
      alg: "HS256",
      key: ec.publicKey.export({ type: "spki", format: "der" }).toString("latin1"),
    },
  ),
);
add(
  "ES256 in the header, HS256 with the public key",
  token(CLAIMS, { alg: "ES256" }, { alg: "HS256", key: pem(ec.publicKey) }),
);
add("RS256 with another key", token(CLAIMS, { alg: "RS256" }, { alg: "RS256", key: rsa.privateKey }));
add("ES256 with another key", token(CLAIMS, { alg: "ES256" }, { key: otherEc.privateKey }));
for (const alg of [
  "es256",
  "ES256 ",
  "ES256K",
  "ES384",
  "PS256",
  "EdDSA",
  "__proto__",
  "constructor",
  "toString",
]) {
  add(`alg ${JSON.stringify(alg)}, signed as ES256`, token(CLAIMS, { alg }));
}
for (const alg of [null, 256, ["ES256"], { name: "ES256" }, true]) {
  add(`alg ${JSON.stringify(alg)}`, token(CLAIMS, { alg }));
}
add("no alg", token(CLAIMS, { typ: "JWT" }));

// Keys in the header (RFC 7515, 4.1; RFC 8725, 2.9 and 3.10)
const own = { key: otherEc.privateKey };
add("jwk of the attacker", token(CLAIMS, { alg: "ES256", jwk: jwk(otherEc.publicKey) }, own));
add("jku of the attacker", token(CLAIMS, { alg: "ES256", jku: "https://evil.example/jwks" }, own));
add("x5u of the attacker", token(CLAIMS, { alg: "ES256", x5u: "https://evil.example/cert" }, own));
add("x5c of the attacker", token(CLAIMS, { alg: "ES256", x5c: ["MIIB"] }, own));
for (const name of ["jwk", "jku", "x5u", "x5c", "crit", "b64", "enc", "zip"]) {
  for (const value of [null, "", true, ["b64"], {}]) {
    add(`${name}: ${JSON.stringify(value)}, validly signed`, token(CLAIMS, { alg: "ES256", [name]: value }));
  }
}
add("crit that names b64", token(CLAIMS, { alg: "ES256", crit: ["b64"], b64: false }));
add("crit that names exp", token(CLAIMS, { alg: "ES256", crit: ["exp"], exp: NOW + 600 }));
for (const kid of ["../../../dev/null", "' or 1=1 --", "/dev/null\0", "__proto__", "k".repeat(5_000)]) {
  add(`kid ${JSON.stringify(kid.slice(0, 20))} with another key`, token(CLAIMS, { alg: "ES256", kid }, own));
}
for (const kid of [null, 1, ["a"], {}])
  add(`kid ${JSON.stringify(kid)}`, token(CLAIMS, { alg: "ES256", kid }));

// Another type (RFC 8725, 3.11)
for (const typ of [
  "",
  "JWE",
  "id_token",
  "dpop+jwt",
  "logout+jwt",
  "secevent+jwt",
  "application/logout+jwt",
  "at",
  " JWT",
  "text/jwt",
  null,
  1,
  ["JWT"],
]) {
  add(`typ ${JSON.stringify(typ)}`, token(CLAIMS, { alg: "ES256", typ }));
}

// Claims (RFC 7519, 4.1), validly signed. As text, because JSON.stringify cannot produce all of them.
const withText = (text: string) => JSON.stringify(CLAIMS).replace(`"exp":${CLAIMS.exp}`, text);
for (const [name, text] of [
  ["missing", '"x":1'],
  ["a string", `"exp":"${NOW + 600}"`],
  ["null", '"exp":null'],
  ["true", '"exp":true'],
  ["an array", `"exp":[${NOW + 600}]`],
  ["an object", '"exp":{}'],
  ["too large for a number", '"exp":1e400'],
  ["too small for a number", '"exp":-1e400'],
  ["negative", '"exp":-1'],
  ["zero", '"exp":0'],
  ["a second ago", `"exp":${NOW - 1}`],
  ["now", `"exp":${NOW}`],
  ["NaN, which is not JSON", '"exp":NaN'],
  ["Infinity, which is not JSON", '"exp":Infinity'],
  ["a date in words", '"exp":"2999-01-01T00:00:00Z"'],
  ["in another case", `"Exp":${NOW + 600}`],
  ["in the prototype", `"__proto__":{"exp":${NOW + 600}}`],
] as const) {
  add(`exp ${name}`, token(withText(text)));
}
for (const [name, more] of [
  ["nbf a second from now", { nbf: NOW + 1 }],
  ["nbf a string", { nbf: "0" }],
  ["nbf null", { nbf: null }],
  ["nbf an array", { nbf: [0] }],
  ["iat a string", { iat: "0" }],
  ["iat an object", { iat: {} }],
  ["no iss", { iss: undefined }],
  ["iss with a trailing slash", { iss: `${ISSUER}/` }],
  ["iss in upper case", { iss: ISSUER.toUpperCase() }],
  ["iss with a trailing space", { iss: `${ISSUER} ` }],
  ["iss with a trailing zero byte", { iss: `${ISSUER}\0` }],
  ["iss with http", { iss: ISSUER.replace("https", "http") }],
  ["iss as a prefix", { iss: `${ISSUER}.evil.example` }],
  ["iss with a homoglyph", { iss: ISSUER.replace("o", "о") }],
  ["iss with a full-width letter", { iss: ISSUER.replace("l", "ｌ") }],
  ["iss an array", { iss: [ISSUER] }],
  ["iss an object", { iss: { toString: ISSUER } }],
  ["iss a number", { iss: 1 }],
  ["iss empty", { iss: "" }],
  ["no aud", { aud: undefined }],
  ["aud of another service", { aud: "https://other.example.com" }],
  ["aud with a trailing slash", { aud: `${AUDIENCE}/` }],
  ["aud in upper case", { aud: AUDIENCE.toUpperCase() }],
  ["aud empty", { aud: "" }],
  ["aud an empty array", { aud: [] }],
  ["aud an array of others", { aud: ["a", "b"] }],
  ["aud an array with a number", { aud: [AUDIENCE, 1] }],
  ["aud a nested array", { aud: [[AUDIENCE]] }],
  ["aud an object", { aud: { [AUDIENCE]: true } }],
  ["aud joined by spaces", { aud: `${AUDIENCE} other` }],
  ["no sub", { sub: undefined }],
  ["sub empty", { sub: "" }],
  ["sub a number", { sub: 1 }],
  ["sub an array", { sub: ["user-1"] }],
  ["scope a number", { scope: 1 }],
  ["scope an object", { scope: { "vehicles:read": true } }],
  ["scope an array with a number", { scope: ["vehicles:read", 1] }],
] as const) {
  add(name, token(claimsWith(more)));
}

// JSON (RFC 7519, 4 and 7.2)
const text = JSON.stringify(CLAIMS);
for (const payload of [
  "",
  "null",
  "true",
  "1",
  '"a"',
  "[]",
  "[{}]",
  "{",
  "{}",
  `${text}x`,
  `${text}${text}`,
  `\ufeff${text}`,
  `${text}\0`,
]) {
  add(`the payload ${JSON.stringify(payload.slice(0, 8))} (${payload.length})`, token(payload));
}
add(
  "a payload that is not UTF-8",
  token(Buffer.concat([Buffer.from(text.slice(0, -2)), Buffer.from([0xff]), Buffer.from('"}')])),
);
add("a duplicate member", token(`${text.slice(0, -1)},"sub":"admin"}`));
add("a duplicate member, once with an escape", token(`${text.slice(0, -1)},"su\\u0062":"admin"}`));
add("a duplicate nested member", token(`${text.slice(0, -1)},"a":[{"b":{"c":1,"c":2}}]}`));
add("__proto__ with a scope", token(`${text.slice(0, -1)},"__proto__":{"scope":"fleet:admin"}}`));
add("__proto__ with an escape", token(`${text.slice(0, -1)},"\\u005f_proto__":{}}`));
add("a nested __proto__", token(`${text.slice(0, -1)},"a":[{"__proto__":{"isAdmin":true}}]}`));
for (const header of [
  "",
  "null",
  "[]",
  '"ES256"',
  "{",
  '{"alg":"ES256"}x',
  '\ufeff{"alg":"ES256"}',
  '{"alg":"none","alg":"ES256"}',
  '{"alg":"ES256","alg":"none"}',
  '{"alg":"ES256","__proto__":{"a":1}}',
]) {
  add(`the header ${header}`, token(CLAIMS, header));
}

// Form (RFC 7515, 2 and 7.1)
add("two parts", `${validHeader}.${validClaims}`);
add("one part", validHeader);
add("four parts", `${valid}.${validSignature}`);
add("five parts, as in JWE", `${valid}.${validSignature}.${validSignature}`);
add(
  "the header of JWE",
  `${encode({ alg: "dir", enc: "A256GCM" })}..${validSignature}.${validClaims}.${validSignature}`,
);
add("only dots", "..");
add("no header", `.${validClaims}.${validSignature}`);
add("no payload", `${validHeader}..${validSignature}`);
add("a leading dot", `.${valid}`);
add("a trailing dot", `${valid}.`);
add("trailing padding", `${valid}==`);
add("a padded payload", `${validHeader}.${Buffer.from(`${text} `).toString("base64")}.${validSignature}`);
add("base64, not base64url", valid.replaceAll("-", "+").replaceAll("_", "/").replace(/\.(.)/, ".+$1"));
add("a plus instead of a minus", `${validHeader}.${validClaims}.${validSignature.slice(0, -2)}+w`);
add("a signature with other trailing bits", `${validHeader}.${validClaims}.${otherTail(validSignature)}`);
const altered = `${validHeader}.${otherTail(encode(padded()))}`;
add(
  "a payload with other trailing bits, validly signed",
  `${altered}.${signature(altered, "ES256", ec.privateKey)}`,
);
for (let cut = 1; cut < valid.length; cut += 37) add(`truncated to ${cut} characters`, valid.slice(0, cut));
add("8,193 characters, validly signed", sized(8_193));
add("15,000 characters, validly signed", sized(15_000));

/** Returns claims that have trailing bits in base64url. */
function padded(): string {
  const texts = ["", "1", "12"].map((pad) => JSON.stringify(claimsWith({ pad })));
  return texts.find((json) => Buffer.byteLength(json) % 3 !== 0) as string;
}

/** Creates a valid token of this length. */
export function sized(length: number): string {
  for (const x of ["", "1", "12", "123"]) {
    const header = { alg: "ES256", x };
    const spare = length - token(claimsWith({ pad: "" }), header).length;
    for (let size = Math.floor((spare * 3) / 4) - 3; size <= (spare * 3) / 4 + 3; size++) {
      const made = token(claimsWith({ pad: "x".repeat(Math.max(0, size)) }), header);
      if (made.length === length) return made;
    }
  }
  throw new Error(`no token has ${length} characters`);
}

export const forgeries: readonly Forgery[] = list;
