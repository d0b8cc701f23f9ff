import { createServer } from "node:http";
import { nodeAuth } from "keybearer/node";
import { verifier } from "./keys.js";

const auth = nodeAuth(verifier);
const listener = auth("vehicles:read", (req, res) => {
  res.setHeader("Content-Type", "application/json").end(JSON.stringify({ owner: req.auth.ownerId }));
});
// @ts-expect-error unknown scope
export const misspelled = () => auth("vehicles:raed", () => {});

export const server = createServer(listener);
