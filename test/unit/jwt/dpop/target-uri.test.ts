import { describe, expect, it } from "vitest";
import { createTargetMatcher } from "../../../../src/jwt/dpop/target-uri.js";

const matches = (htu: unknown, path: string | undefined, origin: unknown = "https://api.example.com") =>
  createTargetMatcher("test", origin)(htu, { headers: {}, path });

describe("htu", () => {
  it.each([
    ["https://api.example.com/vehicles", "/vehicles"],
    ["https://api.example.com/vehicles?page=2#top", "/vehicles"],
    ["https://api.example.com/vehicles", "/vehicles?page=2"],
    ["HTTPS://API.example.COM:443/vehicles", "/vehicles"],
    ["https://api.example.com", "/"],
    ["https://api.example.com/", ""],
    ["https://api.example.com/a/./b/../c", "/a/c"],
    ["https://api.example.com/%7eann", "/~ann"],
    ["https://api.example.com/~ann", "/%7Eann"],
    ["https://api.example.com/a%2fb", "/a%2Fb"],
    ["https://api.example.com/users/@me", "/users/@me"],
    ["https://api.example.com/a%7Bb%7D", "/a{b}"],
    ["https://api.example.com/a{b}", "/a%7bb%7d"],
    ["https://api.example.com//vehicles", "//vehicles"],
    ["https://api.example.com/vehicles", "http://api.example.com/vehicles?page=2"],
    ["https://api.example.com/vehicles", "https://elsewhere.example/vehicles"],
  ])("%j is the URI of a request for %j", (htu, path) => {
    expect(matches(htu, path)).toBe(true);
  });

  it.each<[unknown, string | undefined]>([
    ["http://api.example.com/vehicles", "/vehicles"],
    ["https://api.example.com:8443/vehicles", "/vehicles"],
    ["https://api.example.com.evil.test/vehicles", "/vehicles"],
    ["https://evil.test/vehicles", "/vehicles"],
    ["https://evil.test@api.example.com/vehicles", "/vehicles"],
    ["https://api.example.com/vehicles", "/Vehicles"],
    ["https://api.example.com/vehicles/", "/vehicles"],
    ["https://api.example.com/vehicles", "/vehicles/"],
    ["https://api.example.com/vehicles", "/"],
    ["https://api.example.com/b", "/a/../b"],
    ["https://api.example.com/b", "/a/%2e%2e/b"],
    ["https://api.example.com/a/b", "/a%2Fb"],
    ["https://api.example.com/vehicles", "//vehicles"],
    ["https://api.example.com\\vehicles", "/vehicles"],
    ["https:///api.example.com/vehicles", "/vehicles"],
    ["https:/api.example.com/vehicles", "/vehicles"],
    [" https://api.example.com/vehicles", "/vehicles"],
    ["https://api.example.com/veh\ticles", "/vehicles"],
    ["https://api.example.com/vehicles\n", "/vehicles"],
    ["//api.example.com/vehicles", "/vehicles"],
    ["/vehicles", "/vehicles"],
    ["", "/vehicles"],
    ["javascript://api.example.com/vehicles", "/vehicles"],
    [["https://api.example.com/vehicles"], "/vehicles"],
    [undefined, "/vehicles"],
    [null, undefined],
    ["https://api.example.com/vehicles", "*"],
    ["https://api.example.com/vehicles", "vehicles"],
    ["https://api.example.com/vehicles", "api.example.com:443"],
    ["https://api.example.com/vehicles", undefined],
  ])("%j is not the URI of a request for %j", (htu, path) => {
    expect(matches(htu, path)).toBe(false);
  });

  it("may be at one of several origins, and below a prefix that a proxy removes", () => {
    const origins = ["https://api.example.com", "http://127.0.0.1:3000/", "https://example.com/api/"];
    expect(matches("http://127.0.0.1:3000/vehicles", "/vehicles", origins)).toBe(true);
    expect(matches("https://example.com/api/vehicles", "/vehicles", origins)).toBe(true);
    expect(matches("https://example.com/vehicles", "/vehicles", origins)).toBe(false);
    expect(matches("https://example.com/api/vehicles", "/api/vehicles", origins)).toBe(false);
  });
});

it.each([
  [""],
  ["api.example.com"],
  ["/vehicles"],
  ["ftp://api.example.com"],
  ["https://api.example.com?a=b"],
  ["https://api.example.com/#a"],
  ["https://ann@api.example.com"],
  [[]],
  [["https://api.example.com", 1]],
  [undefined],
  [null],
  [new URL("https://api.example.com")],
])("rejects the origin %j", (origin) => {
  expect(() => createTargetMatcher("test", origin)).toThrow(/^test: "dpop\.origin" /);
});
