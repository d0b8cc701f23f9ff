import { createServer } from "node:http";
import { fetchAuth } from "keybearer/fetch";
import { toNodeListener } from "keybearer/node";
import { verifier } from "./keys.js";

const auth = fetchAuth(verifier);
const handler = auth("vehicles:read", (_request, { auth: principal }) =>
  Response.json({ owner: principal.ownerId }),
);
// @ts-expect-error unknown scope
export const misspelled = () => auth("vehicles:raed", () => new Response());

export const server = createServer(toNodeListener(handler));
