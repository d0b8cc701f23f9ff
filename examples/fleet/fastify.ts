import Fastify, { type FastifyReply, type FastifyRequest } from "fastify";
import { fastifyAuth, fastifyHandler } from "keybearer/fastify";
import { resolveRequestId } from "keybearer/kit";
import { driverChange, namedDriverChange, newDriver, readBody } from "./body.js";
import { createFleet, me } from "./domain.js";
import { BODY_LIMIT, notFound, toErrorResponse } from "./errors.js";
import type { Setup } from "./setup.js";

/** Creates the fleet API in Fastify. */
export async function fastifyApp({ verifier, management, keyPage }: Setup) {
  const app = Fastify({
    bodyLimit: BODY_LIMIT,
    genReqId: resolveRequestId, // keeps a well-formed X-Request-Id of the client
    frameworkErrors: fail,
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    "*",
    { parseAs: "buffer" },
    async (_request: FastifyRequest, body: Buffer) => body,
  );

  app.setNotFoundHandler((request, reply) => fail(notFound(), request, reply));
  app.setErrorHandler(fail);

  const fleet = createFleet();
  const auth = fastifyAuth(verifier);
  await app.register(auth.plugin);

  app.get("/fleet/vehicles", { onRequest: auth("vehicles:read") }, async ({ auth }) =>
    fleet.vehicles(auth.ownerId),
  );
  app.get("/fleet/drivers", { onRequest: auth("drivers:read") }, async ({ auth }) =>
    fleet.drivers(auth.ownerId),
  );
  app.post<{ Body: Buffer }>(
    "/fleet/drivers",
    { onRequest: auth("drivers:write") },
    async ({ auth, headers, body }, reply) => {
      reply.code(201);
      return fleet.addDriver(auth.ownerId, readBody(newDriver, headers, body));
    },
  );
  app.patch<{ Body: Buffer }>(
    "/fleet/drivers",
    { onRequest: auth("drivers:write") },
    async ({ auth, headers, body }) =>
      fleet.changeNamedDriver(auth.ownerId, readBody(namedDriverChange, headers, body)),
  );
  app.patch<{ Body: Buffer; Params: { id: string } }>(
    "/fleet/drivers/:id",
    { onRequest: auth("drivers:write") },
    async ({ auth, headers, body, params }) =>
      fleet.changeDriver(auth.ownerId, params.id, readBody(driverChange, headers, body)),
  );
  app.get("/fleet/hos", { onRequest: auth("hos:read") }, async ({ auth }) => fleet.hours(auth.ownerId));
  app.get("/fleet/inspections", { onRequest: auth("inspections:read") }, async ({ auth }) =>
    fleet.inspections(auth.ownerId),
  );
  app.get("/me", { onRequest: auth() }, async ({ auth }) => me(auth));

  await app.register(fastifyHandler(management), { prefix: "/admin" });
  await app.register(fastifyHandler(keyPage.handler), { prefix: "/keys" });
  return app;
}

function fail(error: unknown, request: FastifyRequest, reply: FastifyReply) {
  const { status, body } = toErrorResponse(error, { headers: request.headers, requestId: request.id });
  reply.code(status).send(body);
}
