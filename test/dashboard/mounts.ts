// Every way to mount the page.

import "reflect-metadata";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAdaptorServer } from "@hono/node-server";
import Router from "@koa/router";
import { Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { ExpressAdapter } from "@nestjs/platform-express";
import express from "express";
import Fastify from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import { expressHandler } from "../../src/adapters/express.js";
import { fastifyHandler } from "../../src/adapters/fastify.js";
import { honoHandler } from "../../src/adapters/hono.js";
import { koaHandler } from "../../src/adapters/koa.js";
import { toNodeListener } from "../../src/adapters/node.js";
import type { RequestHandler } from "../../src/dashboard/index.js";

/** Creates a server with the page at a base path, which begins with `/` or is empty. */
type Mount = (handler: RequestHandler, base: string) => Promise<Server>;

class NestModule {}
Module({})(NestModule);

export const MOUNTS: Readonly<Record<string, Mount>> = {
  Express: async (handler, base) => {
    const app = express();
    app.use(express.json());
    app.use(base || "/", expressHandler(handler));
    return createServer(app);
  },
  Koa: async (handler, base) => {
    const app = new Koa();
    const router = new Router();
    router.all(`${base}{/*path}`, koaHandler(handler));
    app.use(router.routes());
    return createServer(app.callback());
  },
  Hono: async (handler, base) => {
    const app = new Hono();
    app.all(`${base}/*`, honoHandler(handler));
    return createAdaptorServer(app) as Server;
  },
  Fastify: async (handler, base) => {
    const app = Fastify();
    await app.register(fastifyHandler(handler), base === "" ? {} : { prefix: base });
    await app.ready();
    return app.server;
  },
  Nest: async (handler, base) => {
    const app = await NestFactory.create(NestModule, new ExpressAdapter(), { logger: false });
    app.use(base || "/", expressHandler(handler));
    await app.init();
    return app.getHttpServer();
  },
  Node: async (handler) => createServer(toNodeListener(handler)),
};

export const BASES = ["", "/api-keys", "/settings/team-7/keys"] as const;

/** Starts a server on a free port. */
export async function startServer(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

/** Starts nginx. `/proxied/<port>/…` is `/…` of the server on that port. */
export async function startNginx(): Promise<{ url: string; stop: () => Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), "dashboard-nginx-"));
  const probe = createServer();
  const port = await startServer(probe);
  await new Promise((resolve) => probe.close(resolve));
  const config = join(folder, "nginx.conf");
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  writeFileSync(
    config,
    `daemon off; pid ${folder}/nginx.pid; error_log stderr error; worker_processes 1;
events {}
http {
  access_log off; ${paths.join(" ")}
  server {
    listen 127.0.0.1:${port};
    location ~ ^/proxied/(\\d+)(/.*)$ {
      proxy_pass http://127.0.0.1:$1$2$is_args$args;
      proxy_set_header X-Forwarded-For $remote_addr;
    }
    location / { return 404; }
  }
}
`,
  );
  const nginx = spawn("nginx", ["-c", config, "-p", folder], { stdio: ["ignore", "ignore", "pipe"] });
  let output = "";
  nginx.stderr.on("data", (chunk) => {
    output += chunk;
  });
  const exited = new Promise<void>((resolve) => nginx.once("exit", () => resolve()));
  const url = `http://127.0.0.1:${port}`;
  for (let attempt = 0; ; attempt++) {
    const isUp = await fetch(url).then(
      () => true,
      () => false,
    );
    if (isUp) break;
    if (nginx.exitCode !== null || attempt > 100) throw new Error(`nginx did not start: ${output}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    url,
    stop: async () => {
      nginx.kill();
      await exited;
      rmSync(folder, { recursive: true });
    },
  };
}
