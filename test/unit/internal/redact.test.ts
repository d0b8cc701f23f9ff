import { expect, test } from "vitest";
import { quoteAscii, redactName } from "../../../src/internal/redact.js";

test.each([
  ["a name", "ipAllowlist", "ipAllowlist"],
  ["32 characters of a name", "a".repeat(32), "a".repeat(32)],
  ["33 characters", "a".repeat(33), `"${"a".repeat(12)}…"`],
  ["12 characters that are no name", "a b c d e f ", '"a b c d e f "'],
  ["13 characters that are no name", "a b c d e f g", '"a b c d e f …"'],
  ["nothing", "", '""'],
  ["a line break", "a\nb", '"a\\nb"'],
  ["an escape sequence", "\u001b[2J", '"\\u001b[2J"'],
  ["another alphabet", "Zähler", '"Z\\u00e4hler"'],
  ["what turns the writing around", "\u202eabc", '"\\u202eabc"'],
  ["a delete character", "a\u007f", '"a\\u007f"'],
  ["a quote", 'a"b', '"a\\"b"'],
  ["a secret", "ezt_live_0123456789abcdefghijklmnopqrstuv012345", '"ezt_live_012…"'],
])("%s is shown in a message as a name that is not ours", (_, name, shown) => {
  expect(redactName(name)).toBe(shown);
});

test("what is escaped reads back as it was", () => {
  const text = 'a"\\\n\u00e9\u2028\u{1f511}';
  expect(quoteAscii(text)).toMatch(/^[\x20-\x7e]+$/);
  expect(JSON.parse(quoteAscii(text))).toBe(text);
});
