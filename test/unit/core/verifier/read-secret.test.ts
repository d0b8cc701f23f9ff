import { describe, expect, test } from "vitest";
import { credentialSource } from "../../../../src/core/requests/credential.js";
import { createReadSecret } from "../../../../src/core/verifier/read-secret.js";
import type { KeyFormat } from "../../../../src/index.js";
import { format } from "../fixtures.js";

const read = (formats: readonly KeyFormat[], authorization?: string) =>
  createReadSecret(credentialSource(), formats)({ headers: { authorization } });

describe("createReadSecret", () => {
  test("returns the secret and its environment", () => {
    const secret = format.generate("live");
    for (const lead of ["Bearer ", "bearer   ", " \tBEARER "]) {
      const parsed = { environment: "live" };
      expect(read([format], lead + secret)).toEqual({ secret, parsed });
    }
  });

  test("tells a missing, a malformed and an unrecognized credential apart", () => {
    expect(read([format])).toEqual({ fault: "missing_credential" });
    expect(read([format], "Basic YTpi")).toEqual({ fault: "missing_credential" });
    expect(read([format], "Bearer a b")).toEqual({ fault: "malformed_credential" });
    expect(read([format], "Bearer")).toEqual({ fault: "malformed_credential" });
    expect(read([format], "Bearer abc")).toEqual({ fault: "unrecognized_format" });
    expect(read([], "Bearer abc")).toEqual({ fault: "unrecognized_format" });
  });

  test("uses the first format that recognizes the secret", () => {
    const one: KeyFormat = { parse: (secret) => (secret.startsWith("a") ? { environment: "1" } : undefined) };
    const two: KeyFormat = { parse: () => ({ environment: "2" }) };
    expect(read([one, format, two], "Bearer abc")).toMatchObject({
      secret: "abc",
      parsed: { environment: "1" },
    });
    expect(read([one, format, two], "Bearer xyz")).toMatchObject({
      secret: "xyz",
      parsed: { environment: "2" },
    });
    const secret = format.generate("live");
    expect(read([two, format], `Bearer ${secret}`)).toMatchObject({ secret, parsed: { environment: "2" } });
    expect(read([one, format], `Bearer ${secret}`)).toMatchObject({
      secret,
      parsed: { environment: "live" },
    });
  });

  test("calls custom formats only with b64tokens of at most 512 characters", () => {
    const seen: string[] = [];
    const recording: KeyFormat = {
      parse: (secret) => {
        seen.push(secret);
        return {};
      },
    };
    expect(read([recording], "Bearer a,b")).toEqual({ fault: "malformed_credential" });
    expect(read([recording], `Bearer ${"a".repeat(513)}`)).toEqual({ fault: "unrecognized_format" });
    expect(seen).toEqual([]);
    expect(read([recording], `Bearer ${"a".repeat(512)}`)).toMatchObject({ parsed: {} });
    expect(read([recording], "Bearer a==")).toMatchObject({ secret: "a==" });
    expect(seen).toEqual(["a".repeat(512), "a=="]);
  });

  test("passes the secret alone to a wrapped format", () => {
    const secret = format.generate("test");
    const wrapped: KeyFormat = { ...format, parse: (text) => format.parse(text) };
    expect(read([wrapped], `Bearer ${secret}`)).toEqual({ secret, parsed: { environment: "test" } });
  });
});
