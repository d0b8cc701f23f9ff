import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { anyVerifier } from "../../../../src/core/verifier/any-verifier.js";
import type { AuthRequest, Verifier } from "../../../../src/index.js";
import { forgeries } from "../../../conformance/jwt/forgeries.js";
import { encode, jwtService, token } from "../../jwt/fixtures.js";
import { allowed, bearer, refused, service, thrownBy } from "../fixtures.js";

/** A verifier that keeps who it was asked about. */
function spy(name: string) {
  const asked: AuthRequest[] = [];
  const required: unknown[] = [];
  const verifier: Verifier = {
    async verify(request) {
      asked.push(request);
      throw new Error(name);
    },
    assertRequirement: (requirement) => void required.push(requirement),
  };
  return { asked, required, verifier };
}

async function askedFor(request: AuthRequest, options = {}): Promise<string> {
  const [keys, jwt] = [spy("keys"), spy("jwt")];
  const error = await thrownBy(() => anyVerifier(keys.verifier, jwt.verifier, options).verify(request));
  expect(keys.asked.length + jwt.asked.length).toBe(1);
  expect(keys.asked[0] ?? jwt.asked[0]).toBe(request);
  return (error as Error).message;
}

describe("anyVerifier", () => {
  test.each([
    [token(), "jwt"],
    ["a.b.c", "jwt"],
    ["..", "jwt"],
    ["a..", "jwt"],
    ["ezt_live_abc", "keys"],
    ["abc", "keys"],
    ["a.b", "keys"],
    ["a.b.c.d", "keys"],
    ["a.b.c.d.e", "keys"],
    ["a.b.c=", "keys"],
    ["a+.b.c", "keys"],
    ["a/.b.c", "keys"],
    ["a~.b.c", "keys"],
  ])("%s is for %s", async (sent, expected) => {
    expect(await askedFor(bearer(sent))).toBe(expected);
  });

  test.each<[string, AuthRequest]>([
    ["no credential", { headers: {} }],
    ["another scheme", { headers: { authorization: "Basic YTpi" } }],
    ["an empty one", { headers: { authorization: "" } }],
    ["no token", { headers: { authorization: "Bearer " } }],
    ["two of them", { headers: { authorization: ["Bearer a.b.c", "Bearer a.b.c"] as never } }],
    [
      "two lines",
      {
        headers: { authorization: "Bearer a.b.c" },
        rawHeaders: ["authorization", "Bearer a.b.c", "authorization", "Bearer k"],
      },
    ],
    ["two by a comma", bearer("a.b.c, Bearer d.e.f")],
    ["a cut header section", bearer("a.b.c", { headersTruncated: true })],
  ])("%s is for the verifier of keys", async (_, request) => {
    expect(await askedFor(request)).toBe("keys");
  });

  test("asks exactly one, by form, whatever is sent", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(..."ab.-_=+ ") })),
        async (sent) => {
          const isThree = /^[\w-]*\.[\w-]*\.[\w-]*$/.test(sent.trim()) && /^\S+$/.test(sent.trim());
          expect(await askedFor(bearer(sent))).toBe(isThree ? "jwt" : "keys");
        },
      ),
      { numRuns: 300 },
    );
  });

  test("reads the credential where it is told to", async () => {
    const options = { credential: { header: "x-api-key" } };
    expect(await askedFor({ headers: { "x-api-key": "a.b.c" } }, options)).toBe("jwt");
    expect(await askedFor(bearer("a.b.c"), options)).toBe("keys");
  });

  test("checks a requirement with both", () => {
    const [keys, jwt] = [spy("keys"), spy("jwt")];
    anyVerifier(keys.verifier, jwt.verifier).assertRequirement(["a"]);
    expect([keys.required, jwt.required]).toEqual([[["a"]], [["a"]]]);
    const { verifier } = service();
    const any = anyVerifier(verifier, jwtService().verifier);
    expect(() => any.assertRequirement("x" as never)).toThrow(TypeError);
    expect(() => any.assertRequirement("vehicles:read")).not.toThrow();
  });

  test("lets keys and tokens through one door", async () => {
    const { manager, verifier } = service();
    const any = anyVerifier(verifier, jwtService().verifier);
    const { secret, key } = await manager.create({
      ownerId: "acme",
      scopes: ["vehicles:read"],
      environment: "live",
    });
    expect(allowed(await any.verify(bearer(secret), "vehicles:read"))).toMatchObject({
      type: "api_key",
      id: key.id,
    });
    expect(allowed(await any.verify(bearer(token()), "vehicles:read"))).toMatchObject({
      type: "jwt",
      id: "user-1",
    });
    expect(refused(await any.verify({ headers: {} })).message).toBe(
      "Authentication required. Provide a valid API key via Authorization: Bearer <token>",
    );
    const { events } = service();
    expect(events).toEqual([]);
  });

  test("never lets a forged token in, and answers it with 401", async () => {
    const any = anyVerifier(service().verifier, jwtService().verifier);
    for (const forgery of forgeries) {
      expect(refused(await any.verify(bearer(forgery.token))).status, forgery.name).toBe(401);
    }
    expect(refused(await any.verify(bearer(encode("ezt_live_")))).status).toBe(401);
  });

  test.each<[string, unknown[]]>([
    ['"apiKeys" must have a method verify', [undefined, jwtService().verifier]],
    ['"apiKeys" must have a method assertRequirement', [{ verify() {} }, jwtService().verifier]],
    ['"jwt" must have a method verify', [service().verifier, {}]],
    ['"jwt" must have a method verify', [service().verifier, "jwt"]],
    ['unknown option "header"', [service().verifier, jwtService().verifier, { header: "x" }]],
    [
      '"header" must be a token',
      [service().verifier, jwtService().verifier, { credential: { header: "a b" } }],
    ],
  ])("a mistake is told: %s", (message, args) => {
    expect(() => anyVerifier(...(args as Parameters<typeof anyVerifier>))).toThrow(TypeError);
    expect(() => anyVerifier(...(args as Parameters<typeof anyVerifier>))).toThrow(message);
  });
});
