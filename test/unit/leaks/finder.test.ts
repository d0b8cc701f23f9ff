import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { keyFormat } from "../../../src/index.js";
import { createFinder, type ScannableFormat } from "../../../src/leaks/finder.js";

const prefixed = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
const hex = keyFormat({ alphabet: "hex", length: 32, checksum: false });

function findIn(
  text: string,
  { formats = [prefixed], size = 64_000, marker = undefined as RegExp | undefined } = {},
) {
  const find = createFinder(formats, marker);
  const parts = text.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [];
  return [...parts.flatMap((part) => find(part)), ...find("", true)];
}

describe("createFinder", () => {
  it("finds secrets with their lines, also without space around them and in binary data", () => {
    const [a, b, c] = [prefixed.generate("live"), prefixed.generate("test"), prefixed.generate("live")];
    const text = `key=${a}\nconst x = "\\n${b}";\r\n\0\xff${c}x${a}${a}\n`;
    expect(findIn(text)).toEqual([
      { secret: a, line: 1 },
      { secret: b, line: 2 },
      { secret: c, line: 3 },
      { secret: a, line: 3 },
      { secret: a, line: 3 },
    ]);
  });

  it("finds none that is mistyped or truncated, but one inside of another's beginning", () => {
    const secret = prefixed.generate("live");
    const wrong = secret.slice(0, -1) + (secret.endsWith("0") ? "1" : "0");
    expect(findIn(`${wrong} ${secret.slice(0, -1)} ${secret.toUpperCase()}`)).toEqual([]);
    expect(findIn(`ezt_live_${"a".repeat(10)}${secret}`)).toEqual([{ secret, line: 1 }]);
  });

  it("finds secrets without a prefix as whole words only", () => {
    const secret = hex.generate();
    const formats = [hex];
    expect(findIn(`a ${secret}, "${secret}"\n${secret}`, { formats })).toHaveLength(3);
    expect(findIn(`${secret}0 x${secret} ${secret}_ a${secret}`, { formats })).toEqual([]);
    expect(findIn(`${"0".repeat(5_000)}`, { formats, size: 100 })).toEqual([]);
  });

  it("returns matches of the marker in order", () => {
    const secret = prefixed.generate("live");
    const found = findIn(`# a\n${secret}\n# b\n`, { marker: /^# (.)$/gm });
    expect(found.map(({ marker, line }) => [marker?.[1], line])).toEqual([
      ["a", 1],
      [undefined, 2],
      ["b", 3],
    ]);
  });

  it("finds the same in parts of any size as in the whole text", () => {
    const secrets = [prefixed.generate("live"), prefixed.generate("test"), hex.generate()];
    const piece = fc.oneof(
      fc.constantFrom(...secrets, "\n", " ", "_", "ezt_live_", "0".repeat(40)),
      fc.integer({ min: 1, max: 2_000 }).map((length) => "x".repeat(length)),
    );
    const formats = [prefixed, hex];
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), fc.integer({ min: 1, max: 3_000 }), (pieces, size) => {
        const text = pieces.join("");
        expect(findIn(text, { formats, size })).toEqual(findIn(text, { formats }));
      }),
    );
  });
});
