interface LeftOut {
  readonly runtime: string;
  /** Files, or tests by a part of their names. */
  readonly files?: readonly string[];
  readonly tests?: readonly string[];
  readonly why: string;
}

/** What a runtime does not run, because it cannot or does something else than Node. */
export const leftOut: readonly LeftOut[] = [
  {
    runtime: "bun",
    files: ["test/jwt/options.test.ts"],
    tests: [
      "a curve nobody has is a TypeError at start-up",
      "RSA-PSS alone is a TypeError at start-up",
      "DSA is a TypeError at start-up",
    ],
    why: "It makes no keys of kinds that no JWT is signed with, and so cannot be given one.",
  },
  {
    runtime: "deno",
    tests: [
      "a body half read, then cancel: the connection goes on",
      "a large refused body does not jam the connection",
    ],
    why: "Its node:http does not read a request's body to the end for whoever has stopped, and the connection waits.",
  },
  {
    runtime: "deno",
    tests: ["two lines, an empty one first"],
    why: "Its Headers forget an empty value that another of the same name follows.",
  },
  {
    runtime: "deno",
    tests: [
      "are told apart by every byte, signature included",
      "tokens that were verified outlive it, those that were not do not",
      "the principal function is asked once by requests that come together",
    ],
    why: "What it signs twice with ECDSA has one signature, and these tests need two.",
  },
  {
    runtime: "deno",
    tests: ["a JWKS that cannot be had is 503 a key that cannot be read"],
    why: "It takes a public key with coordinates that are too short, which verifies nothing: 401 instead of 503.",
  },
  {
    runtime: "deno",
    tests: ["a KeyObject of P-521"],
    why: "It cannot sign with P-521.",
  },
];
