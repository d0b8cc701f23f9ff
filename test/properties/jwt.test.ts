import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseJsonObject } from "../../src/jwt/json.js";
import { bearer } from "../unit/core/fixtures.js";
import { CLAIMS, ec, encode, jwk, jwtService, NOW, signature, token } from "../unit/jwt/fixtures.js";
import { runs } from "./runs.js";

const { verifier } = jwtService({ cacheMax: 100 });
const bySet = jwtService({ jwks: { keys: [jwk(ec.publicKey)] } as never, cacheMax: 100 }).verifier;
const valid = token();

async function isDenied(sent: string): Promise<boolean> {
  for (const one of [verifier, bySet]) {
    const result = await one.verify(bearer(sent));
    if (result.ok || result.error.status !== 401) return false;
  }
  return true;
}

const part = fc.oneof(
  fc.string({ unit: fc.constantFrom(..."ABCDEFabcdef0123456789-_") }),
  fc.json().map(encode),
  fc.base64String(),
  fc.constant(""),
);
const header = fc.oneof(
  fc.dictionary(fc.constantFrom("alg", "typ", "kid", "crit", "jwk", "cty", "b64"), fc.jsonValue()),
  fc.constant({ alg: "ES256" }),
);

describe("createJwtVerifier", () => {
  it("denies arbitrary strings with 401", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.string({ unit: "binary" }),
          fc.array(part).map((parts) => parts.join(".")),
        ),
        async (junk) => {
          const result = await verifier.verify(bearer(junk));
          expect(result.ok ? 200 : result.error.status).toBe(401);
        },
      ),
      runs(500),
    );
  });

  it("denies arbitrary headers and claims with an arbitrary signature", async () => {
    await fc.assert(
      fc.asyncProperty(
        header,
        fc.jsonValue(),
        fc.uint8Array({ minLength: 0, maxLength: 80 }),
        async (head, body, bytes) => isDenied(`${encode(head)}.${encode(body)}.${encode(bytes)}`),
      ),
      runs(300),
    );
  });

  it("denies validly signed tokens with invalid claims", async () => {
    const claims = fc.record(
      {
        iss: fc.oneof(fc.constant(CLAIMS.iss), fc.jsonValue()),
        aud: fc.oneof(fc.constant(CLAIMS.aud), fc.jsonValue()),
        sub: fc.oneof(fc.constant("user-1"), fc.jsonValue()),
        exp: fc.oneof(fc.constant(NOW + 1), fc.jsonValue(), fc.double({ max: NOW })),
        nbf: fc.oneof(fc.constant(NOW), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(claims, async (given) => {
        const { iss, aud, sub, exp } = given as Record<string, unknown>;
        const hasAudience = aud === CLAIMS.aud || Array.isArray(aud);
        const isValid =
          iss === CLAIMS.iss &&
          hasAudience &&
          typeof sub === "string" &&
          sub !== "" &&
          typeof exp === "number";
        const result = await verifier.verify(bearer(token(given)));
        if (!isValid || !(exp > NOW)) expect(result.ok).toBe(false);
        if (!result.ok) expect(result.error.status).toBe(401);
      }),
      runs(300),
    );
  });

  it("denies a token that differs in one character", async () => {
    const alphabet = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \u00e9"];
    const place = fc.nat({ max: valid.length - 1 });
    await fc.assert(
      fc.asyncProperty(
        place,
        fc.constantFrom(...alphabet),
        fc.constantFrom("set", "insert", "delete"),
        async (at, letter, how) => {
          const rest = valid.slice(how === "insert" ? at : at + 1);
          const changed = valid.slice(0, at) + (how === "delete" ? "" : letter) + rest;
          fc.pre(changed !== valid);
          // Whitespace around a field value is not part of it (RFC 9110, 5.5).
          fc.pre(changed.trim() !== valid);
          return isDenied(changed);
        },
      ),
      runs(500),
    );
    expect((await verifier.verify(bearer(valid))).ok).toBe(true);
  });

  it("denies tokens that are combined from the parts of valid ones", async () => {
    const tokens = [token(), token({ ...CLAIMS, sub: "admin" }), token(CLAIMS, { alg: "ES256", typ: "JWT" })];
    const parts = tokens.map((one) => one.split("."));
    for (const a of [0, 1, 2])
      for (const b of [0, 1, 2])
        for (const c of [0, 1, 2]) {
          const mixed = [parts[a]?.[0], parts[b]?.[1], parts[c]?.[2]].join(".");
          if (!tokens.includes(mixed)) expect(await isDenied(mixed)).toBe(true);
        }
  });
});

describe("parseJsonObject", () => {
  const parse = (text: string) => parseJsonObject(Buffer.from(text));

  it("parses every JSON object without __proto__", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (object) => {
        const text = JSON.stringify(object);
        const hasProto = /"__proto__"\s*:/.test(text);
        expect(parse(text)).toEqual(hasProto ? undefined : JSON.parse(text));
      }),
      runs(1_000),
    );
  });

  it("rejects a duplicate member, with and without escapes", () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.jsonValue(),
        fc.dictionary(fc.string(), fc.jsonValue()),
        (name, value, rest) => {
          const escaped = `"${[...name]
            .flatMap((c) => c.split(""))
            .map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)
            .join("")}"`;
          const inner = JSON.stringify(rest).slice(1, -1);
          const text = `{${JSON.stringify(name)} : ${JSON.stringify(value)}, ${escaped}:0${inner && `,${inner}`}}`;
          expect(parse(text)).toBeUndefined();
          expect(parse(`{"a":[${text}]}`)).toBeUndefined();
        },
      ),
      runs(100),
    );
  });

  it("handles strings with brackets, quotes and colons", () => {
    expect(parse('{"a":"\\"b\\":{[","b":"}","c":["a","a"],"d":[{"a":1},{"a":2}]}')).toBeDefined();
    expect(parse('{"a\\\\":1,"a":2}')).toBeDefined();
    expect(parse('{"a":":","a" : 1}')).toBeUndefined();
  });

  it("handles the deepest nesting that fits into a token", async () => {
    const deep = `${JSON.stringify(CLAIMS).slice(0, -1)},"a":${"[".repeat(2_700)}${"]".repeat(2_700)}}`;
    const input = `${encode({ alg: "ES256" })}.${encode(deep)}`;
    const result = await verifier.verify(bearer(`${input}.${signature(input, "ES256", ec.privateKey)}`));
    expect(result.ok).toBe(true);
  });
});
