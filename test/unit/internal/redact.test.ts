import { expect, it } from "vitest";
import { quoteAscii, redactName, redactSecrets } from "../../../src/internal/redact.js";

it.each([
  ["a name", "ipAllowlist", "ipAllowlist"],
  ["a name of 32 characters", "a".repeat(32), "a".repeat(32)],
  ["a name of 33 characters", "a".repeat(33), `"${"a".repeat(12)}…"`],
  ["12 characters with spaces", "a b c d e f ", '"a b c d e f "'],
  ["13 characters with spaces", "a b c d e f g", '"a b c d e f …"'],
  ["an empty name", "", '""'],
  ["a line break", "a\nb", '"a\\nb"'],
  ["an escape sequence", "\u001b[2J", '"\\u001b[2J"'],
  ["a letter outside ASCII", "Zähler", '"Z\\u00e4hler"'],
  ["a right-to-left override", "\u202eabc", '"\\u202eabc"'],
  ["a delete character", "a\u007f", '"a\\u007f"'],
  ["a quote", 'a"b', '"a\\"b"'],
  ["a secret", "ezt_live_0123456789abcdefghijklmnopqrstuv012345", '"ezt_live_012…"'],
])("redactName returns a safe form of %s", (_, name, shown) => {
  expect(redactName(name)).toBe(shown);
});

it("quoteAscii returns JSON in printable ASCII", () => {
  const text = 'a"\\\n\u00e9\u2028\u{1f511}';
  expect(quoteAscii(text)).toMatch(/^[\x20-\x7e]+$/);
  expect(JSON.parse(quoteAscii(text))).toBe(text);
});

it.each([
  ["alone", "SECRET", "…"],
  ["in a query", "https://a.example/?a=1&key=SECRET#SECRET", "https://a.example/?a=1&key=…#…"],
  ["in a file name", "https://a.example/SECRET.env", "https://a.example/….env"],
  ["after an escape", "https://a.example/?q=%22SECRET%22", "https://a.example/?q=%22…%22"],
  ["with an escape inside", "https://a.example/?q=%53ECRET&b=%20", "https://a.example/?q=…&b= "],
  ["with punctuation", "a:SEC.RET,b", "a:…,b"],
  ["in the userinfo", "https://me:SECRET@a.example/@b", "https://a.example/@b"],
  ["as a part of a longer word", "https://a.example/SECRETS%zz%0a", "https://a.example/SECRETS%zz%0a"],
])("redactSecrets replaces a secret %s", (_, text, shown) => {
  expect(redactSecrets(text, (word) => ["SECRET", "SEC.RET"].includes(word))).toBe(shown);
});
