import { createServer } from "node:http";
import { Hono } from "hono";
import { honoAuth } from "keybearer/hono";
import { toNodeListener } from "keybearer/node";
import { verifier } from "./keys.js";

const auth = honoAuth(verifier, { remoteAddress: () => undefined });
const app = new Hono().get("/vehicles", auth("vehicles:read"), (c) => c.json({ owner: c.var.auth.ownerId }));
// @ts-expect-error unknown scope
export const misspelled = () => auth("vehicles:raed");

export const server = createServer(toNodeListener((request) => app.fetch(request)));
