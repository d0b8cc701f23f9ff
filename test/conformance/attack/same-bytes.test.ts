import { crc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import { bearer } from "../../contract/guards/case.js";
import { format, secrets, verifierBehind } from "../../unit/adapters/fixtures.js";
import { setups } from "../../unit/adapters/frameworks.js";
import { connect, toBytes } from "../../unit/adapters/raw.js";

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** Returns the first 20 characters of a secret, other random characters and a correct checksum. */
function nearMiss(secret: string): string {
  const text = secret.slice(0, 20) + format.generate("live").slice(20, -6);
  let checksum = "";
  for (let rest = crc32(text); checksum.length < 6; rest = Math.floor(rest / 62)) {
    checksum = DIGITS[rest % 62] + checksum;
  }
  expect(format.parse(text + checksum)).toBeDefined();
  return text + checksum;
}

const { unknown, revoked, expired, disabled, suspended, retired, mismatched, reader } = secrets;
const rejected = {
  ...{ unknown, "near-miss": nearMiss(reader), revoked, expired, disabled, suspended, retired, mismatched },
};

describe.each(setups.filter(({ wire }) => wire))("$name", ({ start }) => {
  test("sends identical bytes for unknown, near-miss, revoked, expired, disabled, suspended and retired keys", async () => {
    const app = await start({ verifier: verifierBehind("none") });
    try {
      for (const request of [{}, { method: "HEAD" }, { headers: ["Accept: application/problem+json"] }]) {
        const responses: Record<string, string> = {};
        for (const [state, secret] of Object.entries(rejected)) {
          const connection = connect(app.port as number);
          const headers = [bearer(secret), "Connection: close", ...(request.headers ?? [])];
          connection.write(toBytes({ ...request, target: "/me", headers }));
          const response = await connection.read(request.method);
          connection.close();
          const lines = response?.lines.filter((line) => !/^date:/i.test(line)) ?? [];
          responses[state] = [response?.statusLine, ...lines, "", response?.body].join("\r\n");
        }
        expect(responses.unknown).toContain("401");
        expect(responses).toEqual(
          Object.fromEntries(Object.keys(rejected).map((state) => [state, responses.unknown])),
        );
      }
    } finally {
      await app.close();
    }
  });
});
