import assert from "node:assert/strict";
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import * as express from "./express.js";
import * as fastify from "./fastify.js";
import * as fetchServer from "./fetch.js";
import * as hono from "./hono.js";
import { issue } from "./keys.js";
import * as koa from "./koa.js";
import * as node from "./node.js";

async function ask(name: string, server: Server, secret: string): Promise<void> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/vehicles`;
  const refused = await fetch(url);
  assert.equal(refused.status, 401, name);
  assert.equal(((await refused.json()) as { code: string }).code, "missing_credential", name);
  const passed = await fetch(url, { headers: { Authorization: `Bearer ${secret}` } });
  assert.equal(passed.status, 200, name);
  assert.deepEqual(await passed.json(), { owner: "acme" }, name);
  server.closeAllConnections();
  server.close();
}

async function main(): Promise<void> {
  const secret = await issue();
  await fastify.ready();
  const services = { express, koa, hono, fastify, fetch: fetchServer, node };
  for (const [name, { server }] of Object.entries(services)) await ask(name, server, secret);
  console.log(`${Object.keys(services).length} frameworks answered 401 and 200`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
