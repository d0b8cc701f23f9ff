import { createServer } from "node:http";
import { koaAuth } from "keybearer/koa";
import Koa from "koa";
import { verifier } from "./keys.js";

const auth = koaAuth(verifier);
const app = new Koa().use(auth("vehicles:read")).use((ctx) => {
  ctx.body = { owner: ctx.state.auth.ownerId };
});
// @ts-expect-error unknown scope
export const misspelled = () => auth("vehicles:raed");

export const server = createServer(app.callback());
