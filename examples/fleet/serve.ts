import { createServer, type Server } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import type { KeyManager } from "keybearer";
import { HOST, listen } from "../serve.js";
import { expressApp } from "./express.js";
import { fastifyApp } from "./fastify.js";
import { honoApp } from "./hono.js";
import { koaApp } from "./koa.js";
import { type FleetScope, type Setup, type SetupOptions, setup } from "./setup.js";

/** Starts the server of each framework. */
const SERVERS = {
  express: (shared: Setup, port: number) => listen(createServer(expressApp(shared)), port),
  koa: (shared: Setup, port: number) => listen(createServer(koaApp(shared).callback()), port),
  hono: (shared: Setup, port: number) =>
    listen(createAdaptorServer({ fetch: honoApp(shared).fetch }) as Server, port),
  fastify: async (shared: Setup, port: number) => {
    const app = await fastifyApp(shared);
    return { url: await app.listen({ port, host: HOST }), stop: () => app.close() };
  },
};

export type Framework = keyof typeof SERVERS;
export const FRAMEWORKS = Object.keys(SERVERS) as Framework[];

/** A running fleet API. */
export interface RunningFleet {
  readonly url: string;
  /** The database file. */
  readonly data: string;
  readonly keys: KeyManager<FleetScope>;
  /** Returns a JWT of an admin of a company. */
  adminJwt(company: string): Promise<string>;
  /** Returns a link to the key page for an admin of a company. */
  keyPageLink(company: string): Promise<string>;
  /** Stops the server and closes the database. */
  close(): Promise<void>;
}

/** Starts the fleet API in one of the frameworks, by default on any free port. */
export async function start(
  framework: Framework,
  port = 0,
  options: SetupOptions = {},
): Promise<RunningFleet> {
  const shared = await setup(options);
  try {
    const { url, stop } = await SERVERS[framework](shared, port);
    shared.keyPage.open(url);
    return {
      url,
      data: shared.data,
      keys: shared.keys,
      adminJwt: shared.adminJwt,
      keyPageLink: shared.keyPage.linkFor,
      async close() {
        await stop();
        await shared.close();
      },
    };
  } catch (error) {
    await shared.close();
    throw error;
  }
}
