import { expect } from "vitest";
import { bearer, check } from "../../contract/guards/case.js";
import { secrets } from "../../unit/adapters/fixtures.js";
import type { App } from "../../unit/adapters/frameworks.js";
import {
  type Connection,
  connect,
  header,
  type RawRequest,
  type RawResponse,
  toBytes,
} from "../../unit/adapters/raw.js";
import { type Attack, asCase, bytesOf, type StatusExpectation } from "./attack.js";
import { expectSound } from "./soundness.js";

/** A service under attack. */
export interface Target {
  readonly app: App;
  /** Sends the attack, and checks every response against its expectation and the rules for all responses. */
  attack(attack: Attack): Promise<void>;
  close(): Promise<void>;
}

/** A request that succeeds while the service works. */
const VALID: RawRequest = { target: "/optional", headers: [bearer(secrets.reader)] };

/** Opens a target. `onResponse` is called with every response. */
export function openTarget(app: App, onResponse: (response: RawResponse) => void = () => {}): Target {
  const port = app.port as number;
  let kept: Connection | undefined;

  const observed = (connection: Connection): Connection => ({
    ...connection,
    async read(method) {
      const response = await connection.read(method);
      if (response !== undefined) onResponse(response);
      return response;
    },
  });

  /** Sends a valid request on a kept connection, as a connection pool does. */
  async function expectServing({ broken }: Attack): Promise<void> {
    const request: RawRequest = broken ? { target: "/optional" } : VALID;
    for (let attempt = 0; ; attempt++) {
      const fresh = kept === undefined;
      kept ??= connect(port);
      kept.write(toBytes(request));
      const response = await kept.read();
      if (response !== undefined) return void expect(response.status, "a valid request afterwards").toBe(200);
      kept = undefined;
      if (fresh || attempt > 0) throw new Error("the service does not respond");
    }
  }

  return {
    app,
    async close() {
      kept?.close();
      await app.close();
    },
    async attack(attack) {
      const { traffic = {}, expected } = attack;
      const open = Array.from({ length: traffic.connections ?? 1 }, () => connect(port));
      const talk = (index: number) =>
        converse(observed(open[index] as Connection), attack, bytesFor(attack, index));
      try {
        if (expected.kind === "status") {
          for (const responses of await Promise.all(open.map((_, index) => talk(index))))
            checkResponses(expected, responses);
        } else {
          await check(asCase(attack), async () => (await talk(0))[0]);
        }
        await expectServing(attack);
      } finally {
        for (const connection of open) connection.close();
      }
    },
  };
}

/** Returns the bytes of one connection. */
export const bytesFor = ({ request, traffic }: Attack, index: number): string =>
  traffic?.bytesOf?.(index) ?? bytesOf(request);

/** Writes the bytes and reads the expected number of responses. */
async function converse(
  connection: Connection,
  attack: Attack,
  bytes: string,
): Promise<readonly (RawResponse | undefined)[]> {
  const { responses = 1, piece, halfClosed } = attack.traffic ?? {};
  const method = bytes.split(" ", 1)[0] as string;
  for (let at = 0; at < bytes.length; at += piece ?? bytes.length) {
    connection.write(Buffer.from(bytes.slice(at, at + (piece ?? bytes.length)), "latin1"));
    if (piece !== undefined) await new Promise(setImmediate);
  }
  if (halfClosed) connection.end();
  const list: (RawResponse | undefined)[] = [];
  for (let count = 0; count < responses; count++) list.push(await connection.read(method));
  for (const response of list) {
    if (response !== undefined) expectSound(response, bytes, mayPass(attack, bytes));
  }
  if (method === "HEAD" && list.at(-1) !== undefined) await expectNoBody(connection);
  return list;
}

/** Checks that a response to HEAD has no body, which would be read as the next response. */
async function expectNoBody(connection: Connection): Promise<void> {
  connection.write(toBytes({ target: "/optional", headers: ["Connection: close"] }));
  const next = await connection.read();
  if (next !== undefined)
    expect(next.statusLine, "HEAD has no body").toMatch(/^HTTP\/1\.1 \d{3} [A-Z][A-Za-z ]+$/);
}

/** Whether a status of 2xx is expected. Routers respond to preflights, without data. */
function mayPass({ expected }: Attack, bytes: string): boolean {
  if (expected.kind === "status") return expected.status.includes(200);
  return expected.kind === "pass" || bytes.startsWith("OPTIONS ");
}

function checkResponses(expected: StatusExpectation, responses: readonly (RawResponse | undefined)[]): void {
  responses.forEach((response, index) => {
    const wanted = expected.inOrder ? [expected.status[index] as number] : expected.status;
    expect(wanted, response?.body ?? "no response").toContain(response?.status ?? "hangup");
    if (response === undefined) return;
    expectMembers(expected, response);
    if (expected.owners) expect(JSON.parse(response.body).owner, "the owner").toBe(expected.owners[index]);
  });
}

function expectMembers({ code, headers = {} }: StatusExpectation, response: RawResponse): void {
  for (const [name, value] of Object.entries(headers))
    expect(header(response, name), name).toBe(value ?? undefined);
  if (code === undefined || response.body === "") return;
  expect(JSON.parse(response.body)).toMatchObject({ code });
}
