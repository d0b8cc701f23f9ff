interface Skipped {
  readonly runtime: string;
  /** Test files, by path. */
  readonly files?: readonly string[];
  /** Tests, by a part of their full title. */
  readonly tests?: readonly string[];
  readonly reason: string;
}

/** Tests that do not run on a runtime, because it lacks a feature or differs from Node. */
export const skipped: readonly Skipped[] = [
  {
    runtime: "bun",
    files: ["test/unit/jwt/options.test.ts"],
    tests: [
      "rejects an unsupported curve with a TypeError",
      "rejects an RSA-PSS key with a TypeError",
      "rejects DSA with a TypeError",
    ],
    reason: "Bun cannot generate these keys, which no JWT is signed with.",
  },
  {
    runtime: "bun",
    files: ["test/unit/jwt/dpop/verifier.test.ts"],
    reason: "Bun cannot generate a key of the curve secp256k1, which the file uses for a forbidden key.",
  },
  {
    runtime: "bun",
    tests: ["of OPTIONS * is *"],
    reason: "node:http in Bun does not pass a request for * to the handler.",
  },
  {
    runtime: "deno",
    tests: [
      "the connection stays usable after a partly read body, then cancel",
      "the large body of a denied request does not block the connection",
    ],
    reason:
      "node:http in Deno does not discard the rest of a body that is not read, so the connection hangs.",
  },
  {
    runtime: "deno",
    tests: ["two lines, an empty one first"],
    reason: "Headers in Deno drop an empty value that another value of the same name follows.",
  },
  {
    runtime: "deno",
    tests: [
      "distinguishes tokens by every byte, including the signature",
      "allows cached tokens while the server is down, but no others",
      "the principal callback is called once for concurrent requests",
    ],
    reason:
      "ECDSA signatures are deterministic in Deno, and these tests need two signatures of the same content.",
  },
  {
    runtime: "deno",
    tests: ["rejects an unreadable key with a StoreError"],
    reason: "Deno accepts a public key with short coordinates, which verifies nothing: 401 instead of 503.",
  },
  {
    runtime: "deno",
    tests: ["is rejected at start-up as key"],
    reason: "Deno cannot import a weak RSA key, which is then rejected as unreadable.",
  },
  {
    runtime: "deno",
    tests: ["accepts a P-521 KeyObject"],
    reason: "Deno cannot sign with P-521.",
  },
];
