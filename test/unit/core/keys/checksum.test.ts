import { crc32 } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  crcOf,
  finishCrc,
  readChecksum,
  updateCrc,
  writeChecksum,
} from "../../../../src/core/keys/checksum.js";

const ascii = fc.string({ unit: "binary-ascii" });

test("the CRC agrees with zlib (property)", () => {
  fc.assert(
    fc.property(ascii, ascii, (before, after) => {
      let register = crcOf(before);
      for (const character of after) register = updateCrc(register, character.charCodeAt(0));
      expect(finishCrc(register)).toBe(crc32(before + after));
    }),
  );
});

test("a checksum is six base62 characters that decode to the CRC (property)", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (crc) => {
      const checksum = writeChecksum(crc);
      expect(checksum).toMatch(/^[0-9A-Za-z]{6}$/);
      expect(readChecksum(`before${checksum}`, 6)).toBe(crc);
    }),
  );
});

test("a checksum with a character that is not base62 is -1", () => {
  for (const text of ["00000_", "-00000", "00é000", "00000\u0660", "00000", ""])
    expect(readChecksum(text, 0)).toBe(-1);
});
