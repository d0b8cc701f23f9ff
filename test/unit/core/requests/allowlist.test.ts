import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { allowlistWithin, allows } from "../../../../src/core/requests/allowlist.js";
import { parseIp } from "../../../../src/core/requests/cidr.js";
import type { IpAddress } from "../../../../src/core/requests/ranges.js";

const ip = (text: string) => parseIp(text) as IpAddress;

const within = (child: string[] | null | undefined, parent: string[] | null | undefined) =>
  allowlistWithin(child, parent);

describe("allowlistWithin", () => {
  test("allows every child if the parent has no list", () => {
    for (const parent of [undefined, null]) {
      expect(within(["10.0.0.0/8"], parent)).toBe(true);
      expect(within([], parent)).toBe(true);
      expect(within(undefined, parent)).toBe(true);
      expect(within(null, parent)).toBe(true);
    }
  });

  test("rejects a child without a list if the parent has one", () => {
    expect(within(undefined, ["10.0.0.0/8"])).toBe(false);
    expect(within(null, ["10.0.0.0/8"])).toBe(false);
    expect(within(null, [])).toBe(false);
    expect(within(null, ["0.0.0.0/0", "::/0"])).toBe(false);
  });

  test.each<[child: string[], parent: string[], expected: boolean]>([
    [[], [], true],
    [[], ["10.0.0.0/8"], true],
    [["10.0.0.0/8"], [], false],
    [["10.0.0.0/8"], ["10.0.0.0/8"], true],
    [["10.1.2.3"], ["10.0.0.0/8"], true],
    [["10.0.0.0/7"], ["10.0.0.0/8"], false],
    [["9.255.255.255"], ["10.0.0.0/8"], false],
    [["11.0.0.0"], ["10.0.0.0/8"], false],
    [["10.0.0.0/8"], ["10.0.0.0/9", "10.128.0.0/9"], true],
    [["10.0.0.0/8"], ["10.128.0.0/9", "10.0.0.0/10", "10.64.0.0/10"], true],
    [["10.0.0.0/8"], ["10.0.0.0/9", "10.128.0.0/10"], false],
    [["0.0.0.0/0"], ["0.0.0.0/1", "128.0.0.0/1"], true],
    [["::ffff:10.1.2.3"], ["10.0.0.0/8"], true],
    [["10.1.2.3"], ["::ffff:10.0.0.0/104"], true],
    [["10.1.2.3"], ["::/0"], false],
    [["2001:db8::/32"], ["2001:db8::/33", "2001:db8:8000::/33"], true],
    [["2001:db8::/32"], ["2001:db8::/33"], false],
    [["::/0"], ["::/1", "8000::/1"], true],
    [["2001:db8::1"], ["0.0.0.0/0"], false],
    [["203.0.113.7", "2001:db8::1"], ["203.0.113.0/24", "2001:db8::/64"], true],
    [["203.0.113.7", "198.51.100.1"], ["203.0.113.0/24"], false],
  ])("%j within %j is %s", (child, parent, expected) => {
    expect(within(child, parent)).toBe(expected);
  });

  test("an invalid entry of the parent matches no address", () => {
    expect(within(["10.0.0.1"], ["10.0.0.0/8x"])).toBe(false);
  });

  test("agrees with a check of every address of a small range (property)", () => {
    // Networks within 192.0.2.0/28, so that each of its 16 addresses can be checked.
    const network = fc
      .tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 28, max: 32 }))
      .map(([host, bits]) => {
        const size = 2 ** (32 - bits);
        const first = Math.floor(host / size) * size;
        return { text: `192.0.2.${first}/${bits}`, first, last: first + size - 1 };
      });
    const list = fc.array(network, { maxLength: 5 });
    const holds = (networks: readonly { first: number; last: number }[], host: number) =>
      networks.some(({ first, last }) => first <= host && host <= last);
    fc.assert(
      fc.property(list, list, (child, parent) => {
        const hosts = Array.from({ length: 16 }, (_, host) => host);
        const expected = hosts.every((host) => !holds(child, host) || holds(parent, host));
        const texts = (networks: readonly { text: string }[]) => networks.map(({ text }) => text);
        expect(within(texts(child), texts(parent))).toBe(expected);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("allows", () => {
  test("an empty list allows no address, and no list allows an unknown address", () => {
    expect(allows([], ip("10.0.0.1"))).toBe(false);
    expect(allows(["0.0.0.0/0", "::/0"], undefined)).toBe(false);
    expect(allows(["0.0.0.0/0"], ip("10.0.0.1"))).toBe(true);
  });

  test("a network that is removed from a list is no longer allowed", () => {
    const list = ["10.0.0.0/8", "192.0.2.0/24"];
    expect(allows(list, ip("10.0.0.1"))).toBe(true);
    list.shift();
    expect(allows(list, ip("10.0.0.1"))).toBe(false);
    list.push("192.0.2.0/33");
    expect(allows(list, ip("192.0.2.1"))).toBe(true);
  });

  test("a frozen list is compiled once", () => {
    let reads = 0;
    const list = Object.freeze(["10.0.0.0/8"]);
    const counted = new Proxy(list, {
      get(target, name, receiver) {
        if (name === "0") reads += 1;
        return Reflect.get(target, name, receiver);
      },
    });
    for (let i = 0; i < 3; i++) {
      expect([allows(counted, ip("10.0.0.1")), allows(counted, ip("11.0.0.1"))]).toEqual([true, false]);
    }
    expect(reads).toBe(1);
  });
});
