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
import { type Answer, type Attack, asCase, bytesOf } from "./attack.js";
import { expectSound } from "./soundness.js";

/** A service that is attacked. */
export interface Target {
  readonly app: App;
  /** Writes the attack, and holds every answer to what is expected of it and to what holds for all. */
  attack(attack: Attack): Promise<void>;
  close(): Promise<void>;
}

/** A request that a service answers as long as it stands: with a key where the store works. */
const GOOD: RawRequest = { target: "/optional", headers: [bearer(secrets.reader)] };

/** `hear` is told of every answer. */
export function openTarget(app: App, hear: (response: RawResponse) => void = () => {}): Target {
  const port = app.port as number;
  let kept: Connection | undefined;

  const heard = (connection: Connection): Connection => ({
    ...connection,
    async read(method) {
      const response = await connection.read(method);
      if (response !== undefined) hear(response);
      return response;
    },
  });

  /** Asks on a connection that good requests share, as those of a pool do. */
  async function expectServing({ broken }: Attack): Promise<void> {
    const request: RawRequest = broken ? { target: "/optional" } : GOOD;
    for (let attempt = 0; ; attempt++) {
      const fresh = kept === undefined;
      kept ??= connect(port);
      kept.write(toBytes(request));
      const response = await kept.read();
      if (response !== undefined) return void expect(response.status, "a good request afterwards").toBe(200);
      kept = undefined;
      if (fresh || attempt > 0) throw new Error("the service is gone");
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
        converse(heard(open[index] as Connection), attack, bytesFor(attack, index));
      try {
        if (expected.kind === "answer") {
          for (const answers of await Promise.all(open.map((_, index) => talk(index))))
            judge(expected, answers);
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

/** What the connection of this number writes. */
export const bytesFor = ({ request, traffic }: Attack, index: number): string =>
  traffic?.bytesOf?.(index) ?? bytesOf(request);

/** Writes the bytes, and reads as many answers as there should be. */
async function converse(
  connection: Connection,
  attack: Attack,
  bytes: string,
): Promise<readonly (RawResponse | undefined)[]> {
  const { answers = 1, piece, halfClosed } = attack.traffic ?? {};
  const method = bytes.split(" ", 1)[0] as string;
  for (let at = 0; at < bytes.length; at += piece ?? bytes.length) {
    connection.write(Buffer.from(bytes.slice(at, at + (piece ?? bytes.length)), "latin1"));
    if (piece !== undefined) await new Promise(setImmediate);
  }
  if (halfClosed) connection.end();
  const list: (RawResponse | undefined)[] = [];
  for (let count = 0; count < answers; count++) list.push(await connection.read(method));
  for (const response of list) {
    if (response !== undefined) expectSound(response, bytes, mayPass(attack, bytes));
  }
  if (method === "HEAD" && list.at(-1) !== undefined) await expectNoBody(connection);
  return list;
}

/** Bytes behind the head of an answer to HEAD would be taken for the next answer. */
async function expectNoBody(connection: Connection): Promise<void> {
  connection.write(toBytes({ target: "/optional", headers: ["Connection: close"] }));
  const next = await connection.read();
  if (next !== undefined)
    expect(next.statusLine, "HEAD has no body").toMatch(/^HTTP\/1\.1 \d{3} [A-Z][A-Za-z ]+$/);
}

/** Preflights are answered by routers, and say nothing; otherwise only what is expected to pass may pass. */
function mayPass({ expected }: Attack, bytes: string): boolean {
  if (expected.kind === "answer") return expected.status.includes(200);
  return expected.kind === "pass" || bytes.startsWith("OPTIONS ");
}

function judge(expected: Answer, answers: readonly (RawResponse | undefined)[]): void {
  answers.forEach((response, index) => {
    const wanted = expected.inOrder ? [expected.status[index] as number] : expected.status;
    expect(wanted, response?.body ?? "no answer").toContain(response?.status ?? "hangup");
    if (response === undefined) return;
    expectMembers(expected, response);
    if (expected.owners) expect(JSON.parse(response.body).owner, "the owner").toBe(expected.owners[index]);
  });
}

function expectMembers({ code, headers = {} }: Answer, response: RawResponse): void {
  for (const [name, value] of Object.entries(headers))
    expect(header(response, name), name).toBe(value ?? undefined);
  if (code === undefined || response.body === "") return;
  expect(JSON.parse(response.body)).toMatchObject({ code });
}
