import { createServer } from "node:http";
import express from "express";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
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

describe.each(APPS)("over a socket, with %s", (_, appOf) => {
  const clock = stoppedClock();
  let app: App;
  let secret: string;

  beforeAll(async () => {
    const rateLimiter = createRateLimiter({
      store: memoryLimits({ clock: clock.now }),
      windows: [
        { name: "minute", per: "key", limit: 2, windowSeconds: 60 },
        { name: "day", per: "owner", limit: 100, windowSeconds: 86_400 },
      ],
    });
    const { manager, verifier } = service({ rateLimiter });
    ({ secret } = await manager.create({ ownerId: "acme", scopes: ["vehicles:read"], environment: "live" }));
    app = await listen(createServer(appOf(failedAuthLimiter(verifier, { failures: 2 })) as never));
  });
  afterAll(() => app.close());

  const ask = async (token: string) => {
    const answer = await app.request({ headers: [`Authorization: Bearer ${token}`, "Connection: close"] });
    const wanted = /^(ratelimit|ratelimit-policy|retry-after|www-authenticate):/i;
    return {
      status: answer?.statusLine,
      lines: (answer?.lines ?? [])
        .filter((line) => wanted.test(line))
        .map((line) => line.toLowerCase())
        .sort(),
      body: answer?.body,
    };
  };

  const policy = 'ratelimit-policy: "minute";q=2;w=60, "day";q=100;w=86400';

  test("the headers of requests that pass, and of one that is refused", async () => {
    expect(await ask(secret)).toMatchObject({
      status: "HTTP/1.1 200 OK",
      lines: [policy, 'ratelimit: "minute";r=1;t=60, "day";r=99;t=86400'],
    });
    clock.set(clock.now().getTime() + 20_500);
    expect((await ask(secret)).lines).toEqual([policy, 'ratelimit: "minute";r=0;t=40, "day";r=98;t=86380']);
    const refused = await ask(secret);
    expect(refused).toMatchObject({
      status: "HTTP/1.1 429 Too Many Requests",
      lines: [policy, 'ratelimit: "minute";r=0;t=40, "day";r=98;t=86380', "retry-after: 40"],
    });
    expect(JSON.parse(refused.body ?? "")).toEqual({
      message: "Too many requests. Try again later.",
      code: "rate_limited",
      requestId: "case-0001",
    });
  });

  test("guesses, and what follows them", async () => {
    for (let i = 0; i < 2; i++)
      expect((await ask(format.generate("live"))).status).toBe("HTTP/1.1 401 Unauthorized");
    const braked = await ask(secret);
    expect(braked.status).toBe("HTTP/1.1 429 Too Many Requests");
    expect(braked.lines).toEqual(["retry-after: 60"]);
    expect(JSON.parse(braked.body ?? "")).toMatchObject({ code: "rate_limited" });
    const none = await app.request({ headers: ["Connection: close"] });
    expect(none?.status).toBe(401);
  });
});
