import { Writable } from "node:stream";
import Fastify from "fastify";
import { expect, test } from "vitest";
import { fastifyAuth } from "../../../src/adapters/fastify.js";
import { StoreError } from "../../../src/index.js";
import { secrets, verifierOver } from "./fixtures.js";

const SECRET = "hunter2";

/** A driver error with the statement and parameters everywhere drivers put them. */
const driverError = () =>
  Object.assign(new Error(`select * from keys where hash = '${SECRET}'`, { cause: new Error(SECRET) }), {
    code: "ECONNREFUSED",
    parameters: [SECRET],
  });

/** Creates an app whose logger (pino) writes to an array. */
function logging() {
  const lines: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  return { app: Fastify({ logger: { level: "trace", stream } }), lines };
}

test("a logger that prints causes does not print the driver error", async () => {
  const { app, lines } = logging();
  const error = new StoreError("The key store failed", driverError());
  app.log.error(error);
  app.log.error({ err: error }, "while verifying");
  app.log.error({ error }, "under another name");
  app.log.error(new Error("in the host", { cause: error }));
  app.log.error(new AggregateError([error], "several"));
  await app.close();
  expect(lines).toHaveLength(5);
  expect(lines.filter((line) => line.includes("KEYBEARER_STORE_ERROR")).length).toBeGreaterThan(0);
  expect(lines.join("")).toContain("The key store failed");
  expect(lines.join("")).not.toContain(SECRET);
});

test("the onError of a guard can log the error without leaking the driver error", async () => {
  const { app, lines } = logging();
  const errors: unknown[] = [];
  const verifier = verifierOver({ findByHash: () => Promise.reject(driverError()) });
  const auth = fastifyAuth(verifier, {
    onError(error, { requestId }) {
      errors.push(error);
      app.log.error(error);
      app.log.error({ err: error, requestId }, "the key store is down");
    },
  });
  await app.register(auth.plugin);
  app.get("/", { onRequest: auth() }, async () => "route body");
  const headers = { authorization: `Bearer ${secrets.reader}` };
  const response = await app.inject({ url: "/", headers });
  await app.close();
  expect(response.statusCode).toBe(503);
  expect(errors).toEqual([expect.any(StoreError)]);
  expect((errors[0] as StoreError).driverError).toMatchObject({ parameters: [SECRET] });
  expect(lines.join("")).toContain("KEYBEARER_STORE_ERROR");
  expect(lines.join("") + response.body).not.toContain(SECRET);
});
