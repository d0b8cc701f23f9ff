import { describe, expect, test } from "vitest";
import { format } from "../../unit/core/fixtures.js";
import { printed, searchFor, spellingsOf } from "./search.js";

// The other secrets-*.test.ts files rely on this search.

const SHOWN = "ezt_live_".length + 4;
const secret = format.generate("live");
const found = searchFor([{ name: "canary", text: secret, shown: SHOWN }]);

describe("the search for secrets", () => {
  test("finds any 16 characters after the start, in every encoding", () => {
    for (let at = SHOWN; at + 16 <= secret.length; at++) {
      for (const spelling of spellingsOf(secret.slice(at, at + 16)))
        expect(found(`before ${spelling} after`), spelling).toEqual(["canary"]);
    }
  });

  test("finds a secret in a larger text that is encoded as a whole", () => {
    const text = `{"a":"${secret}"}`;
    for (const prefix of ["", "a", "ab"]) {
      expect(found(Buffer.from(prefix + text).toString("base64"))).toEqual(["canary"]);
      expect(found(Buffer.from(prefix + text).toString("base64url"))).toEqual(["canary"]);
    }
    expect(found(Buffer.from(text).toString("hex"))).toEqual(["canary"]);
    expect(found(encodeURIComponent(text))).toEqual(["canary"]);
    expect(found([...text].reverse().join(""))).toEqual(["canary"]);
    expect(found(JSON.stringify(JSON.stringify(text)))).toEqual(["canary"]);
  });

  test("finds a secret at the start and end of a text and at line breaks", () => {
    expect(found(secret)).toEqual(["canary"]);
    expect(found(`${secret}\n`)).toEqual(["canary"]);
    expect(found(`\n${secret.slice(-16)}`)).toEqual(["canary"]);
  });

  test("finds a pepper with characters that are escaped", () => {
    const pepper = 'pepper "of" these/tests\n0123456789';
    const search = searchFor([{ name: "pepper", text: pepper }]);
    for (const spelling of [pepper, JSON.stringify({ pepper }), encodeURIComponent(pepper)])
      expect(search(spelling), spelling).toEqual(["pepper"]);
  });

  test("finds a secret in printed values: nested, hidden, in getters, symbols and causes", () => {
    class WithGetter {
      readonly #value = secret;
      get value() {
        return this.#value;
      }
    }
    const things = {
      "a cause of an error": { deep: { deeper: [new Error("x", { cause: secret })] } },
      "a member of an error": Object.assign(new Error("x"), { parameters: [secret] }),
      "an error in an AggregateError": new AggregateError([new Error(secret)]),
      "a map": new Map([["a", new Set([secret])]]),
      "a member that is not enumerable": Object.defineProperty({}, "a", { value: secret }),
      "a symbol member": { [Symbol("a")]: secret },
      "a getter": {
        get a() {
          return secret;
        },
      },
      "a getter of the prototype": new WithGetter(),
      "a result of toJSON": { toJSON: () => secret },
      "a result of toString": { toString: () => secret },
      "bytes in hex from toJSON": { toJSON: () => Buffer.from(secret).toString("hex") },
    };
    for (const [name, thing] of Object.entries(things))
      expect(found(printed(thing)), name).toEqual(["canary"]);
  });

  test("finds nothing in other strings", () => {
    expect(found(secret.slice(0, SHOWN))).toEqual([]);
    expect(found(secret.slice(0, SHOWN + 15))).toEqual([]);
    expect(found("")).toEqual([]);
    expect(found(Array.from({ length: 10_000 }, () => format.generate("live")).join("\n"))).toEqual([]);
    expect(searchFor([{ name: "zeros", text: "0".repeat(64) }])("0".repeat(100))).toEqual([]);
  });
});
