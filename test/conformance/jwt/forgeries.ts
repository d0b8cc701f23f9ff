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

/** Every forged or broken token that the verifier of the tests is sent. It takes ES256 by one key. */
export interface Forgery {
  readonly name: string;
  readonly token: string;
}

const good = token();
const [goodHeader = "", goodClaims = "", goodSignature = ""] = good.split(".");
const list: Forgery[] = [];
const add = (name: string, forged: string): void => void list.push({ name, token: forged });

/** The same bytes with other bits behind the last one. */
function otherTail(part: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const last = alphabet.indexOf(part.at(-1) as string);
  const twin = [...alphabet].find(
    (letter, index) =>
      index !== last &&
      Buffer.from(part.slice(0, -1) + letter, "base64url").equals(Buffer.from(part, "base64url")),
  );
  if (twin === undefined) throw new Error("this part has no bits left");
  return part.slice(0, -1) + twin;
}

// Without a signature (RFC 7518, 3.6; RFC 8725, 2.1)
for (const alg of ["none", "None", "NONE", "nOnE", "none ", ""]) {
  add(`alg ${JSON.stringify(alg)}, no signature`, `${encode({ alg })}.${goodClaims}.`);
  add(`alg ${JSON.stringify(alg)}, some signature`, `${encode({ alg })}.${goodClaims}.${goodSignature}`);
}
add("the right header, no signature", `${goodHeader}.${goodClaims}.`);
add(
  "a signature of zeros (r = s = 0)",
  `${goodHeader}.${goodClaims}.${Buffer.alloc(64).toString("base64url")}`,
);
add(
  "an empty signature in DER",
  `${goodHeader}.${goodClaims}.${Buffer.from([0x30, 6, 2, 1, 0, 2, 1, 0]).toString("base64url")}`,
);
add("one byte for a signature", `${goodHeader}.${goodClaims}.AA`);
add("the signature cut", good.slice(0, -4));
add("the signature doubled", `${good}${goodSignature}`);

// Another algorithm than the key is for (RFC 8725, 2.1)
for (const key of [pem(ec.publicKey), pem(rsa.publicKey), pem(ec.publicKey).trim(), SECRET, ""]) {
  for (const alg of ["HS256", "HS512"]) {
    add(
      `${alg} by ${JSON.stringify(key.slice(0, 30))} (${key.length})`,
      token(CLAIMS, { alg }, { alg, key }),
    );
  }
}
add(
  "HS256 by the DER of the public key",
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
  "ES256 in the header, HS256 by the public key",
  token(CLAIMS, { alg: "ES256" }, { alg: "HS256", key: pem(ec.publicKey) }),
);
add("RS256 by another key", token(CLAIMS, { alg: "RS256" }, { alg: "RS256", key: rsa.privateKey }));
add("ES256 by another key", token(CLAIMS, { alg: "ES256" }, { key: otherEc.privateKey }));
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

// Keys that the token brings along (RFC 7515, 4.1; RFC 8725, 2.9 and 3.10)
const own = { key: otherEc.privateKey };
add("jwk of the attacker", token(CLAIMS, { alg: "ES256", jwk: jwk(otherEc.publicKey) }, own));
add("jku of the attacker", token(CLAIMS, { alg: "ES256", jku: "https://evil.example/jwks" }, own));
add("x5u of the attacker", token(CLAIMS, { alg: "ES256", x5u: "https://evil.example/cert" }, own));
add("x5c of the attacker", token(CLAIMS, { alg: "ES256", x5c: ["MIIB"] }, own));
for (const name of ["jwk", "jku", "x5u", "x5c", "crit", "b64", "enc", "zip"]) {
  for (const value of [null, "", true, ["b64"], {}]) {
    add(`${name}: ${JSON.stringify(value)}, signed rightly`, token(CLAIMS, { alg: "ES256", [name]: value }));
  }
}
add("crit that names b64", token(CLAIMS, { alg: "ES256", crit: ["b64"], b64: false }));
add("crit that names exp", token(CLAIMS, { alg: "ES256", crit: ["exp"], exp: NOW + 600 }));
for (const kid of ["../../../dev/null", "' or 1=1 --", "/dev/null\0", "__proto__", "k".repeat(5_000)]) {
  add(`kid ${JSON.stringify(kid.slice(0, 20))} by another key`, token(CLAIMS, { alg: "ES256", kid }, own));
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

// Claims (RFC 7519, 4.1), signed rightly. Text, because JSON.stringify cannot write all of them.
const withText = (text: string) => JSON.stringify(CLAIMS).replace(`"exp":${CLAIMS.exp}`, text);
for (const [name, text] of [
  ["missing", '"x":1'],
  ["a string", `"exp":"${NOW + 600}"`],
  ["null", '"exp":null'],
  ["true", '"exp":true'],
  ["a list", `"exp":[${NOW + 600}]`],
  ["an object", '"exp":{}'],
  ["too large for a number", '"exp":1e400'],
  ["too small for a number", '"exp":-1e400'],
  ["negative", '"exp":-1'],
  ["zero", '"exp":0'],
  ["a moment ago", `"exp":${NOW - 1}`],
  ["this moment", `"exp":${NOW}`],
  ["NaN, which is no JSON", '"exp":NaN'],
  ["Infinity, which is no JSON", '"exp":Infinity'],
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
  ["nbf a list", { nbf: [0] }],
  ["iat a string", { iat: "0" }],
  ["iat an object", { iat: {} }],
  ["no iss", { iss: undefined }],
  ["iss with a slash behind", { iss: `${ISSUER}/` }],
  ["iss in capitals", { iss: ISSUER.toUpperCase() }],
  ["iss with a space behind", { iss: `${ISSUER} ` }],
  ["iss with a zero byte behind", { iss: `${ISSUER}\0` }],
  ["iss by http", { iss: ISSUER.replace("https", "http") }],
  ["iss with a prefix", { iss: `${ISSUER}.evil.example` }],
  ["iss with a letter that looks alike", { iss: ISSUER.replace("o", "о") }],
  ["iss in full width", { iss: ISSUER.replace("l", "ｌ") }],
  ["iss a list", { iss: [ISSUER] }],
  ["iss an object", { iss: { toString: ISSUER } }],
  ["iss a number", { iss: 1 }],
  ["iss empty", { iss: "" }],
  ["no aud", { aud: undefined }],
  ["aud of another", { aud: "https://other.example.com" }],
  ["aud with a slash behind", { aud: `${AUDIENCE}/` }],
  ["aud in capitals", { aud: AUDIENCE.toUpperCase() }],
  ["aud empty", { aud: "" }],
  ["aud an empty list", { aud: [] }],
  ["aud a list of others", { aud: ["a", "b"] }],
  ["aud a list with a number", { aud: [AUDIENCE, 1] }],
  ["aud a list in a list", { aud: [[AUDIENCE]] }],
  ["aud an object", { aud: { [AUDIENCE]: true } }],
  ["aud joined by spaces", { aud: `${AUDIENCE} other` }],
  ["no sub", { sub: undefined }],
  ["sub empty", { sub: "" }],
  ["sub a number", { sub: 1 }],
  ["sub a list", { sub: ["user-1"] }],
  ["scope a number", { scope: 1 }],
  ["scope an object", { scope: { "vehicles:read": true } }],
  ["scope a list with a number", { scope: ["vehicles:read", 1] }],
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
  "a payload that is no UTF-8",
  token(Buffer.concat([Buffer.from(text.slice(0, -2)), Buffer.from([0xff]), Buffer.from('"}')])),
);
add("a member twice", token(`${text.slice(0, -1)},"sub":"admin"}`));
add("a member twice, once with an escape", token(`${text.slice(0, -1)},"su\\u0062":"admin"}`));
add("a member twice, deeper", token(`${text.slice(0, -1)},"a":[{"b":{"c":1,"c":2}}]}`));
add("__proto__ with a scope", token(`${text.slice(0, -1)},"__proto__":{"scope":"fleet:admin"}}`));
add("__proto__ with an escape", token(`${text.slice(0, -1)},"\\u005f_proto__":{}}`));
add("__proto__, deeper", token(`${text.slice(0, -1)},"a":[{"__proto__":{"isAdmin":true}}]}`));
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
add("two parts", `${goodHeader}.${goodClaims}`);
add("one part", goodHeader);
add("four parts", `${good}.${goodSignature}`);
add("five parts, as if encrypted", `${good}.${goodSignature}.${goodSignature}`);
add(
  "encrypted, by its header",
  `${encode({ alg: "dir", enc: "A256GCM" })}..${goodSignature}.${goodClaims}.${goodSignature}`,
);
add("dots alone", "..");
add("no header", `.${goodClaims}.${goodSignature}`);
add("no payload", `${goodHeader}..${goodSignature}`);
add("a dot in front", `.${good}`);
add("a dot behind", `${good}.`);
add("padding behind", `${good}==`);
add("a padded payload", `${goodHeader}.${Buffer.from(`${text} `).toString("base64")}.${goodSignature}`);
add("base64, not base64url", good.replaceAll("-", "+").replaceAll("_", "/").replace(/\.(.)/, ".+$1"));
add("a plus for a minus", `${goodHeader}.${goodClaims}.${goodSignature.slice(0, -2)}+w`);
add(
  "a signature with other bits behind its last byte",
  `${goodHeader}.${goodClaims}.${otherTail(goodSignature)}`,
);
const bent = `${goodHeader}.${otherTail(encode(padded()))}`;
add(
  "a payload with other bits behind its last byte, signed rightly",
  `${bent}.${signature(bent, "ES256", ec.privateKey)}`,
);
for (let cut = 1; cut < good.length; cut += 37) add(`cut to ${cut} characters`, good.slice(0, cut));
add("8,193 characters, signed rightly", sized(8_193));
add("15,000 characters, signed rightly", sized(15_000));

/** Claims whose last letter of base64url has bits to spare. */
function padded(): string {
  const texts = ["", "1", "12"].map((pad) => JSON.stringify(claimsWith({ pad })));
  return texts.find((json) => Buffer.byteLength(json) % 3 !== 0) as string;
}

/** A token that is right in everything, and has that many characters. */
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
