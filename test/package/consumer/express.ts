import { createServer } from "node:http";
import express from "express";
import { expressAuth } from "keybearer/express";
import { verifier } from "./keys.js";

const auth = expressAuth(verifier);
const app = express();
app.get("/vehicles", auth("vehicles:read"), (req, res) => {
  res.json({ owner: req.auth.ownerId });
});
// @ts-expect-error unknown scope
export const misspelled = () => auth("vehicles:raed");

export const server = createServer(app);
