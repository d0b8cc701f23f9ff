import assert from "node:assert/strict";
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import * as express from "./express.js";
import * as fastify from "./fastify.js";
import * as fetchServer from "./fetch.js";
import * as hono from "./hono.js";
import { createSecret } from "./keys.js";
import * as koa from "./koa.js";
import * as node from "./node.js";

async function check(name: string, server: Server, secret: string): Promise<void> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/vehicles`;
  const denied = await fetch(url);
  assert.equal(denied.status, 401, name);
  assert.equal(((await denied.json()) as { code: string }).code, "missing_credential", name);
  const allowed = await fetch(url, { headers: { Authorization: `Bearer ${secret}` } });
  assert.equal(allowed.status, 200, name);
  assert.equal(await allowed.text(), '{"owner":"acme"}', name);
  server.closeAllConnections();
  server.close();
}

async function main(): Promise<void> {
  const secret = await createSecret();
  await fastify.ready();
  const services = { express, koa, hono, fastify, fetch: fetchServer, node };
  for (const [name, { server }] of Object.entries(services)) await check(name, server, secret);
  console.log(`${Object.keys(services).length} frameworks responded with 401 and 200`);
}

export const done: Promise<void> = main();
done.catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
