import { expect, it } from "vitest";
import { createNonces } from "../../../../src/jwt/dpop/nonces.js";

const OLD = "an-old-secret-of-at-least-32-bytes-1";
const NEW = "a-new-secret-of-at-least-32-bytes-12";
const START = 1_893_456_000_000;

function clocked(secret: unknown) {
  let time = START;
  const nonces = createNonces("test", secret, () => time);
  return {
    ...nonces,
    at(to: number) {
      time = to;
    },
  };
}

it("accepts the nonces of every process with the same secret, for 5 minutes", () => {
  const [one, other] = [clocked(NEW), clocked(NEW)];
  const nonce = one.issue();
  expect(nonce).toMatch(/^[\x21\x23-\x5b\x5d-\x7e]{1,40}$/); // RFC 9449, section 8.1
  expect(other.accepts(nonce)).toBe(true);
  other.at(START + 299_999);
  expect(other.accepts(nonce)).toBe(true);
  other.at(START + 300_000);
  expect(other.accepts(nonce)).toBe(false);
});

it("accepts a nonce of a process whose clock is up to 5 seconds ahead", () => {
  const nonce = clocked(NEW).issue();
  const other = clocked(NEW);
  other.at(START - 5_000);
  expect(other.accepts(nonce)).toBe(true);
  other.at(START - 5_001);
  expect(other.accepts(nonce)).toBe(false);
});

it("accepts the nonces of every secret in an array, and creates them with the first", () => {
  const both = clocked([NEW, OLD]);
  expect(both.accepts(clocked(OLD).issue())).toBe(true);
  expect(clocked(NEW).accepts(both.issue())).toBe(true);
  expect(clocked(OLD).accepts(both.issue())).toBe(false);
});

it("rejects everything else", () => {
  const { issue, accepts, at } = clocked(NEW);
  const nonce = issue();
  const [time, mac = ""] = nonce.split(".");
  const later = (START / 1_000 + 1).toString(36);
  const wrong = [undefined, null, 1, "", ".", time, `${time}.`, `${later}.${mac}`, `${nonce}=`, ` ${nonce}`];
  for (const one of [...wrong, `${time}.${"A".repeat(22)}`, [nonce], { toString: () => nonce }]) {
    expect(accepts(one)).toBe(false);
  }
  at(Number.NaN);
  expect(accepts(nonce)).toBe(false);
});

it.each([[""], ["short"], [[]], [[NEW, "short"]], [[NEW, undefined]], [null], [Buffer.alloc(32)]])(
  "rejects the secret %j",
  (secret) => {
    expect(() => clocked(secret)).toThrow('test: "dpop.nonceSecret" must be a string of at least 32 bytes');
  },
);
