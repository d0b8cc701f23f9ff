import { createServer } from "node:http";
import express from "express";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expressAuth } from "../../../src/adapters/express.js";
import { fetchAuth } from "../../../src/adapters/fetch.js";
import { toNodeListener } from "../../../src/adapters/node.js";
import type { Verifier } from "../../../src/index.js";
import { createRateLimiter, failedAuthLimiter, memoryLimits } from "../../../src/rate-limit/index.js";
import { type App, listen } from "../adapters/frameworks.js";
import { type FleetScope, format, service, stoppedClock } from "../core/fixtures.js";

type Fleet = Verifier<FleetScope>;

const APPS: [string, (verifier: Fleet) => Parameters<typeof createServer>[1]][] = [
  [
    "express",
    (verifier) => {
      const app = express();
      app.get("/vehicles", expressAuth(verifier)("vehicles:read"), (_req, res) => void res.json([]));
      return app;
    },
  ],
  ["fetch", (verifier) => toNodeListener(fetchAuth(verifier)("vehicles:read", () => Response.json([])))],
];

describe.each(APPS)("rate limit headers over a socket, with %s", (_, appOf) => {
  const clock = stoppedClock();
  let app: App;
  let secret: string;

  beforeAll(async () => {
    const rateLimiter = createRateLimiter({
      store: memoryLimits({ clock: clock.now }),
      windows: [
        { name: "minute", per: "key", limit: 2, window: "1m" },
        { name: "day", per: "owner", limit: 100, window: "1d" },
      ],
    });
    const { manager, verifier } = service({ rateLimiter });
    ({ secret } = await manager.create({ ownerId: "acme", scopes: ["vehicles:read"], environment: "live" }));
    app = await listen(createServer(appOf(failedAuthLimiter(verifier, { failures: 2 })) as never));
  });
  afterAll(() => app.close());

  const send = async (token: string) => {
    const response = await app.request({ headers: [`Authorization: Bearer ${token}`, "Connection: close"] });
    const wanted = /^(ratelimit|ratelimit-policy|retry-after|www-authenticate):/i;
    return {
      status: response?.statusLine,
      lines: (response?.lines ?? [])
        .filter((line) => wanted.test(line))
        .map((line) => line.toLowerCase())
        .sort(),
      body: response?.body,
    };
  };

  const policy = 'ratelimit-policy: "minute";q=2;w=60, "day";q=100;w=86400';

  it("sends RateLimit headers with allowed and denied requests", async () => {
    expect(await send(secret)).toMatchObject({
      status: "HTTP/1.1 200 OK",
      lines: [policy, 'ratelimit: "minute";r=1;t=60, "day";r=99;t=86400'],
    });
    clock.set(clock.now().getTime() + 20_500);
    expect((await send(secret)).lines).toEqual([policy, 'ratelimit: "minute";r=0;t=40, "day";r=98;t=86380']);
    const denied = await send(secret);
    expect(denied).toMatchObject({
      status: "HTTP/1.1 429 Too Many Requests",
      lines: [policy, 'ratelimit: "minute";r=0;t=40, "day";r=98;t=86380', "retry-after: 40"],
    });
    expect(JSON.parse(denied.body ?? "")).toEqual({
      message: "Too many requests. Try again later.",
      code: "rate_limited",
      requestId: "case-0001",
    });
  });

  it("sends 429 with Retry-After after too many bad credentials", async () => {
    for (let i = 0; i < 2; i++)
      expect((await send(format.generate("live"))).status).toBe("HTTP/1.1 401 Unauthorized");
    const limited = await send(secret);
    expect(limited.status).toBe("HTTP/1.1 429 Too Many Requests");
    expect(limited.lines).toEqual(["retry-after: 60"]);
    expect(JSON.parse(limited.body ?? "")).toMatchObject({ code: "rate_limited" });
    const withoutCredential = await app.request({ headers: ["Connection: close"] });
    expect(withoutCredential?.status).toBe(401);
  });
});
