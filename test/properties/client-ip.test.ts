import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ClientIpOptions, clientIpResolver } from "../../src/core/requests/client-ip.js";
import type { AuthRequest } from "../../src/index.js";
import { addressOf } from "./ip-oracle.js";
import { runs } from "./runs.js";

const PROXY = "10.0.0.1";

function client(
  options: ClientIpOptions,
  headers: AuthRequest["headers"],
  remoteAddress = PROXY,
): string | undefined {
  return clientIpResolver(options)({ headers, remoteAddress, headersTruncated: false })?.text;
}

const behind = { trustedProxies: ["10.0.0.0/8"] };
const forwarded = { trustedProxies: ["10.0.0.0/8", "fd00::/8"], clientIpHeader: "forwarded" };

describe("X-Forwarded-For", () => {
  test("the client is the rightmost address that is not a trusted proxy", () => {
    const hop = fc.oneof(
      fc.constantFrom("10.1.2.3", "10.255.0.1", "::ffff:10.0.0.9", "junk", "", "10.01.1.1", "1.2.3.4:5"),
      fc.ipV4(),
      fc.ipV6(),
    );
    const isProxy = (address: bigint) => address >> 24n === (0xffff_0000_0000n | (10n << 24n)) >> 24n;
    fc.assert(
      fc.property(fc.array(hop, { minLength: 1, maxLength: 6 }), fc.boolean(), (hops, direct) => {
        const socket = direct ? "203.0.113.99" : PROXY;
        let expected = addressOf(socket);
        for (const text of [...hops].reverse()) {
          if (expected === undefined || !isProxy(expected)) break;
          expected = addressOf(text);
        }
        const found = client(behind, { "x-forwarded-for": hops.join(", ") }, socket);
        expect(found === undefined ? undefined : addressOf(found)).toBe(
          expected === undefined || isProxy(expected) ? undefined : expected,
        );
      }),
      runs(3_000),
    );
  });
});

describe("Forwarded (RFC 7239)", () => {
  test("parses every form that RFC 7239 allows", () => {
    const token = fc.stringMatching(/^[a-z0-9!#$%&'*+.^_`|~-]{1,6}$/);
    const quoted = fc
      .string({ unit: fc.constantFrom(...'ab,;="\\ :[]'), maxLength: 6 })
      .map((text) => `"${text.replace(/["\\]/g, "\\$&")}"`);
    const extension = fc
      .tuple(token, fc.oneof(token, quoted))
      .filter(([name]) => name !== "for")
      .map((pair) => pair.join("="));
    const node = fc.oneof(
      fc
        .ipV4()
        .map((text) => ({ text, node: fc.sample(fc.constantFrom(text, `"${text}"`), 1)[0] as string })),
      fc.ipV4().map((text) => ({ text, node: `"${text}:8080"` })),
      fc.ipV6().map((text) => ({ text, node: `"[${text}]"` })),
      fc.constant({ text: "10.4.4.4", node: "10.4.4.4" }),
    );
    const element = fc.tuple(
      fc.array(extension, { maxLength: 2 }),
      node,
      fc.array(extension, { maxLength: 2 }),
    );
    const isProxy = (address: bigint | undefined) =>
      address !== undefined && (address >> 24n === 0xffff0an || address >> 120n === 0xfdn);
    fc.assert(
      fc.property(fc.array(element, { minLength: 1, maxLength: 4 }), (elements) => {
        const field = elements
          .map(([before, { node }, after]) => [...before, `for=${node}`, ...after].join(";"))
          .join(", ");
        const hops = elements.map(([, { text }]) => addressOf(text));
        const expected = [...hops].reverse().find((address) => !isProxy(address));
        const found = client(forwarded, { forwarded: field });
        expect(found === undefined ? undefined : addressOf(found)).toBe(expected);
      }),
      runs(2_000),
    );
  });

  test("no field makes it throw, and every result is a valid address", () => {
    const texts = fc.string({ unit: fc.constantFrom(...'for=;,"\\ 10.2:[]_\t'), maxLength: 40 });
    fc.assert(
      fc.property(texts, (field) => {
        const found = client(forwarded, { forwarded: field });
        if (found !== undefined) expect(addressOf(found)).toBeDefined();
      }),
      runs(5_000),
    );
  });
});
