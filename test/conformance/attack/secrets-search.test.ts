import { describe, expect, test } from "vitest";
import { format } from "../../unit/core/fixtures.js";
import { printed, searchFor, spellingsOf } from "./search.js";

// What the other files of this name rest on: their searches find what is there.

const SHOWN = "ezt_live_".length + 4;
const secret = format.generate("live");
const found = searchFor([{ name: "canary", text: secret, shown: SHOWN }]);

describe("the search for secrets", () => {
  test("finds every 16 characters behind the start, in every spelling", () => {
    for (let at = SHOWN; at + 16 <= secret.length; at++) {
      for (const spelling of spellingsOf(secret.slice(at, at + 16)))
        expect(found(`before ${spelling} behind`), spelling).toEqual(["canary"]);
    }
  });

  test("finds it in larger texts that were encoded as a whole", () => {
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

  test("finds it at the very beginning and end, and at either side of a line", () => {
    expect(found(secret)).toEqual(["canary"]);
    expect(found(`${secret}\n`)).toEqual(["canary"]);
    expect(found(`\n${secret.slice(-16)}`)).toEqual(["canary"]);
  });

  test("finds texts with signs that are escaped, and of which nothing may be shown", () => {
    const pepper = 'pepper "of" these/tests\n0123456789';
    const search = searchFor([{ name: "pepper", text: pepper }]);
    for (const spelling of [pepper, JSON.stringify({ pepper }), encodeURIComponent(pepper)])
      expect(search(spelling), spelling).toEqual(["pepper"]);
  });

  test("finds it in printed things: nested, hidden, behind getters, symbols and causes", () => {
    class Holder {
      readonly #value = secret;
      get value() {
        return this.#value;
      }
    }
    const things = {
      "an error's cause": { deep: { deeper: [new Error("x", { cause: secret })] } },
      "an error's member": Object.assign(new Error("x"), { parameters: [secret] }),
      "an error among several": new AggregateError([new Error(secret)]),
      "a map": new Map([["a", new Set([secret])]]),
      "what is not enumerable": Object.defineProperty({}, "a", { value: secret }),
      "a symbol": { [Symbol("a")]: secret },
      "what a getter says": {
        get a() {
          return secret;
        },
      },
      "what a getter of the prototype says": new Holder(),
      "what toJSON says": { toJSON: () => secret },
      "what toString says": { toString: () => secret },
      "bytes as JSON has them": { toJSON: () => Buffer.from(secret).toString("hex") },
    };
    for (const [name, thing] of Object.entries(things))
      expect(found(printed(thing)), name).toEqual(["canary"]);
  });

  test("finds nothing else", () => {
    expect(found(secret.slice(0, SHOWN))).toEqual([]);
    expect(found(secret.slice(0, SHOWN + 15))).toEqual([]);
    expect(found("")).toEqual([]);
    expect(found(Array.from({ length: 10_000 }, () => format.generate("live")).join("\n"))).toEqual([]);
    expect(searchFor([{ name: "zeros", text: "0".repeat(64) }])("0".repeat(100))).toEqual([]);
  });
});
