export const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** Characters of a checksum: a CRC-32 in base62. */
export const CHECKSUM_LENGTH = 6;

const NOT_A_DIGIT = 255;
const BASE62_DIGITS = new Uint8Array(128).fill(NOT_A_DIGIT);
for (let i = 0; i < BASE62.length; i++) BASE62_DIGITS[BASE62.charCodeAt(i)] = i;

// CRC-32 as in ISO 3309 and zlib. The first table is for one byte, the others for a byte followed by one, two and three zero
// bytes, so that four bytes take one step ("slicing by four").
const CRC_TABLE = new Int32Array(4 * 256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  CRC_TABLE[byte] = crc;
}
for (let i = 256; i < CRC_TABLE.length; i++) CRC_TABLE[i] = updateCrc(CRC_TABLE[i - 256] as number, 0);

/** Returns the CRC register after one more byte. */
export function updateCrc(register: number, byte: number): number {
  return (CRC_TABLE[(register ^ byte) & 0xff] as number) ^ (register >>> 8);
}

/** Returns the CRC register after four more bytes, the first one in the lowest bits. */
export function updateCrcByFour(register: number, bytes: number): number {
  const mixed = register ^ bytes;
  const table = CRC_TABLE;
  return (
    (table[768 + (mixed & 0xff)] as number) ^
    (table[512 + ((mixed >>> 8) & 0xff)] as number) ^
    (table[256 + ((mixed >>> 16) & 0xff)] as number) ^
    (table[mixed >>> 24] as number)
  );
}

/** Returns the CRC register after an ASCII string. */
export function crcOf(text: string): number {
  let register = -1;
  for (let i = 0; i < text.length; i++) register = updateCrc(register, text.charCodeAt(i));
  return register;
}

/** Returns the CRC-32 of a register. */
export function finishCrc(register: number): number {
  return ~register >>> 0;
}

/** Encodes a CRC-32 as base62. */
export function writeChecksum(crc: number): string {
  let text = "";
  for (let rest = crc; text.length < CHECKSUM_LENGTH; rest = Math.floor(rest / 62))
    text = BASE62[rest % 62] + text;
  return text;
}

/** Decodes the checksum that starts at `begin`; returns -1 if a character is not base62. */
export function readChecksum(text: string, begin: number): number {
  let value = 0;
  for (let i = begin; i < begin + CHECKSUM_LENGTH; i++) {
    const digit = BASE62_DIGITS[text.charCodeAt(i)] ?? NOT_A_DIGIT;
    if (digit === NOT_A_DIGIT) return -1;
    value = value * 62 + digit;
  }
  return value;
}
