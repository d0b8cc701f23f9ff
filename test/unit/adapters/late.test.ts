import { createServer, type IncomingMessage, type RequestListener, ServerResponse } from "node:http";
import { Socket } from "node:net";
import express from "express";
import fastify from "fastify";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { expressAuth, expressHandler } from "../../../src/adapters/express.js";
import { fastifyAuth } from "../../../src/adapters/fastify.js";
import { nodeAuth } from "../../../src/adapters/node.js";
import type { Verifier } from "../../../src/index.js";
import { bearer } from "../../contract/guards/case.js";
import { secrets, store, verifierOver } from "./fixtures.js";
import { listen } from "./frameworks.js";
import { header } from "./raw.js";

const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);

beforeEach(() => {
  unhandled.length = 0;
  process.on("unhandledRejection", note);
  process.on("uncaughtException", note);
});

afterEach(async () => {
  await new Promise((resolve) => setTimeout(resolve, 5));
  process.off("unhandledRejection", note);
  process.off("uncaughtException", note);
  expect(unhandled).toEqual([]);
});

/** Creates a verifier whose store waits for `release`. */
function heldVerifier() {
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let call = () => {};
  const called = new Promise<void>((resolve) => {
    call = resolve;
  });
  const verifier = verifierOver({
    async findByHash(hash) {
      call();
      await released;
      return store.findByHash(hash);
    },
  });
  return { verifier, called, release };
}

const responses: readonly (readonly [string, (res: ServerResponse) => void])[] = [
  ["a complete response", (res) => void res.writeHead(504, { "X-By": "timeout" }).end("too slow")],
  [
    "a started response",
    (res) => {
      res.writeHead(504, { "X-By": "timeout", "Content-Length": 8 });
      res.write("too ");
      setTimeout(() => res.end("slow"), 20);
    },
  ],
];

const keys = [
  ["a good key", secrets.reader],
  ["an unknown key", secrets.unknown],
] as const;

const cases = responses.flatMap(([what, respond]) =>
  keys.map(([kind, secret]) => [`${what}, ${kind}`, respond, secret] as const),
);

describe("a response that was sent during verification is kept", () => {
  test.each(cases)("nodeAuth: %s", async (_, respond, secret) => {
    const { verifier, called, release } = heldVerifier();
    let calls = 0;
    const errors: unknown[] = [];
    let settle: (value?: unknown) => void = () => {};
    const settled = new Promise((resolve) => {
      settle = resolve;
    });
    const guarded = nodeAuth(verifier)("vehicles:read", (_req, res) => {
      calls++;
      res.end("of the listener");
    });
    const listener: RequestListener = (req, res) => {
      called.then(() => {
        respond(res);
        release();
      });
      guarded(req, res)
        .catch((error: unknown) => errors.push(error))
        .finally(settle);
    };
    const app = await listen(createServer(listener));
    const response = await app.request({ headers: [bearer(secret)] });
    await settled;
    await app.close();
    expect([response?.status, response?.body]).toEqual([504, "too slow"]);
    expect(response && header(response, "x-by")).toBe("timeout");
    expect(calls).toBe(0);
    expect(errors).toEqual([]);
  });

  test.each(cases)("expressAuth: %s", async (_, respond, secret) => {
    const { verifier, called, release } = heldVerifier();
    let calls = 0;
    const errors: unknown[] = [];
    const app = express();
    const guard = expressAuth(verifier)("vehicles:read");
    let settle: (value?: unknown) => void = () => {};
    const settled = new Promise((resolve) => {
      settle = resolve;
    });
    app.use((_req, res, next) => {
      called.then(() => {
        respond(res);
        release();
      });
      next();
    });
    app.use((req, res, next) => {
      const done = (...args: unknown[]) => {
        calls++;
        (next as (...args: unknown[]) => void)(...args);
      };
      Promise.resolve(guard(req, res, done))
        .catch((error: unknown) => errors.push(error))
        .finally(settle);
    });
    app.use((_req, res) => void res.send("of the route"));
    const { request, close } = await listen(createServer(app));
    const response = await request({ headers: [bearer(secret)] });
    await settled;
    await close();
    expect([response?.status, response?.body]).toEqual([504, "too slow"]);
    expect(response && header(response, "x-by")).toBe("timeout");
    expect(calls).toBe(0);
    expect(errors).toEqual([]);
  });
});

describe("an outcome that Fastify cannot send is an error of the route", () => {
  test.each<[string, (result: unknown) => unknown]>([
    ["synchronous", (result) => result],
    ["asynchronous", (result) => Promise.resolve(result)],
  ])("%s", async (kind, wrap) => {
    // A verifier of the host in JavaScript that forgets `headers`.
    const result = { ok: true, principal: { id: "key_1", ownerId: "acme" } };
    const custom = { verify: () => wrap(result), assertRequirement() {} } as unknown as Verifier;
    const app = fastify();
    app.get("/vehicles", { onRequest: fastifyAuth(custom)() }, () => "of the route");
    const reply = await app.inject("/vehicles");
    expect(reply.statusCode, kind).toBe(500);
    await app.close();
  });
});

describe("expressHandler passes errors of its handler to next", () => {
  test.each<[string, () => never | Promise<never>]>([
    [
      "thrown",
      () => {
        throw new RangeError("of the handler");
      },
    ],
    ["rejected", () => Promise.reject(new RangeError("of the handler"))],
  ])("%s", async (_, handler) => {
    const req = { method: "GET", url: "/x", headers: {}, rawHeaders: [], socket: new Socket() } as never;
    const res = new ServerResponse(req as IncomingMessage);
    const reported: unknown[] = [];
    // Express 4 and other routers do not await middleware.
    const outcome: unknown = expressHandler(handler)(req, res as never, (error) => reported.push(error));
    await expect(outcome).resolves.toBeUndefined();
    expect(reported).toEqual([new RangeError("of the handler")]);
    expect(res.headersSent).toBe(false);
  });

  test("does not call next after a response", async () => {
    const app = express();
    let calls = 0;
    const mounted = expressHandler(() => new Response("of the handler"));
    app.use((req, res, next) =>
      mounted(req, res, (error) => {
        calls++;
        next(error);
      }),
    );
    const { request, close } = await listen(createServer(app));
    expect((await request({}))?.body).toBe("of the handler");
    await close();
    expect(calls).toBe(0);
  });

  test("the error handler of the app is called", async () => {
    const app = express();
    const reported: unknown[] = [];
    app.use(
      expressHandler(() => {
        throw new RangeError("of the handler");
      }),
    );
    const onError: express.ErrorRequestHandler = (error, _req, res, _next) => {
      reported.push(error);
      res.status(500).send("sorry");
    };
    app.use(onError);
    const { request, close } = await listen(createServer(app));
    const response = await request({});
    await close();
    expect([response?.status, response?.body]).toEqual([500, "sorry"]);
    expect(reported).toEqual([new RangeError("of the handler")]);
  });
});
