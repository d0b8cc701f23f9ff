import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { deny, type Expected } from "../../contract/guards/case.js";
import { send } from "./raw.js";

/** Whether this version of Node drops header lines past a thousand, as Node 20 does. Others respond with 431. */
async function dropsLines(): Promise<boolean> {
  const server = createServer((_, res) => res.end()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const headers = Array.from({ length: 1_100 }, (_, index) => `x${index}:y`);
  const response = await send((server.address() as AddressInfo).port, { headers });
  server.close();
  return response?.status === 200;
}

/** The expected response to a request with more header lines than Node keeps. */
export const TRUNCATED: Expected = (await dropsLines()) ? deny("malformed_credential") : { kind: "unserved" };
