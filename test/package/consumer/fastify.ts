import type { Server } from "node:http";
import Fastify, { type FastifyInstance } from "fastify";
import { fastifyAuth } from "keybearer/fastify";
import { verifier } from "./keys.js";

const auth = fastifyAuth(verifier);
const app: FastifyInstance = Fastify();
app.register(auth.plugin);
app.register(async (routes) => {
  routes.get("/vehicles", { onRequest: auth("vehicles:read") }, (request) => ({
    owner: request.auth.ownerId,
  }));
});
// @ts-expect-error unknown scope
export const misspelled = () => auth("vehicles:raed");

export const server: Server = app.server;
export const ready = () => app.ready();
