import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { toNodeListener } from "../../adapters/node-handler.js";
import type { FetchHandler } from "../../http/handler.js";
import { parseDuration } from "../../internal/duration.js";
import { CommandError, EXIT } from "../errors.js";
import type { Settings } from "./settings.js";

/** A listening server. */
export interface RunningServer {
  readonly url: string;
  /** Accepts no more connections, and resolves when the requests in progress are finished, or out of time. */
  close(): Promise<void>;
}

const CHECK_INTERVAL_MS = 1_000;
const KEEP_ALIVE_MS = 5_000;
const SWEEP_INTERVAL_MS = 50;

/** Starts a server whose limits bound what a slow or large request costs. */
export async function startServer(
  handler: FetchHandler,
  { host, port, limits }: Settings,
): Promise<RunningServer> {
  const server = createServer(
    {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: parseDuration(limits.headersTimeout) as number,
      requestTimeout: parseDuration(limits.requestTimeout) as number,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    toNodeListener(handler),
  );
  server.maxConnections = limits.connections;
  // Also bounds clients that do not read the response.
  server.setTimeout((parseDuration(limits.requestTimeout) as number) * 2);
  await listen(server, host, port);
  const address = server.address() as AddressInfo;
  const name = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return { url: `http://${name}:${address.port}`, close: () => drain(server, limits.shutdown) };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const where = `${host}:${port}`;
      reject(new CommandError(EXIT.failed, `Cannot listen on ${where} (${error.code ?? "failed"})`));
    });
    server.listen(port, host, () => resolve());
  });
}

async function drain(server: Server, shutdown: Settings["limits"]["shutdown"]): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // A connection becomes idle when its request in progress is finished.
  const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_INTERVAL_MS);
  const timer = setTimeout(() => server.closeAllConnections(), parseDuration(shutdown));
  await closed;
  clearInterval(sweep);
  clearTimeout(timer);
}

/** Whether only this machine can reach a host name or address. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
