import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createKeyManager, type KeyManager, StoreError } from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { createKeyWebhooks, type KeyWebhooks, type KeyWebhooksOptions } from "../../../src/webhooks/index.js";
import { postJson } from "../../../src/webhooks/request.js";
import { format, scopes } from "../../unit/core/fixtures.js";

const SECRET = `whsec_${randomBytes(32).toString("base64")}`;
const LEAK = { source: "github", type: "commit", url: "https://github.example/a" };
const DAY = 86_400_000;

interface Received {
  readonly id: string;
  readonly headers: Record<string, string>;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests compare it
  readonly body: any;
}

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

/** A receiver whose responses `respond` chooses; 204 by default. */
async function receiver(
  respond: (attempt: number, request: IncomingMessage) => number | undefined = () => 204,
) {
  const received: Received[] = [];
  let attempts = 0;
  const server = createServer((req, res) => {
    let text = "";
    req.setEncoding("utf8").on("data", (part) => (text += part));
    req.on("end", () => {
      const status = respond(++attempts, req);
      if (status === undefined) return; // no response
      const headers = req.headers as Record<string, string>;
      if (status < 300)
        received.push({ id: headers["webhook-id"] ?? "", headers, text, body: JSON.parse(text) });
      res.writeHead(status, status === 302 ? { location: "/other" } : {}).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  opened.push({
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    received,
    attempts: () => attempts,
  };
}

function service(store = memoryStore()) {
  const keys = createKeyManager({ store, scopes, format }) as KeyManager;
  const create = async (ownerId = "acme", more: object = {}) =>
    (await keys.create({ ownerId, scopes: ["vehicles:read"], environment: "live", name: "Truck", ...more }))
      .key;
  const send = (
    endpoint: KeyWebhooksOptions["endpoint"],
    options: Partial<KeyWebhooksOptions> = {},
  ): KeyWebhooks => {
    const webhooks = createKeyWebhooks({
      keys,
      store,
      endpoint,
      interval: "20ms",
      allowPrivate: true,
      ...options,
    });
    opened.push(webhooks);
    return webhooks;
  };
  return { store, keys, create, send };
}

const until = (check: () => unknown) => vi.waitUntil(check, { timeout: 10_000, interval: 10 });

describe("key.leaked", () => {
  it("is sent once, signed as Standard Webhooks, with the key and the place", async () => {
    const { url, received } = await receiver();
    const { keys, create, send } = service();
    const key = await create("acme", { metadata: { private: 1 }, ipAllowlist: ["10.0.0.0/8"] });
    send(() => ({ url, secret: SECRET }));
    await keys.reportLeak(key.id, LEAK);
    await until(() => received.length > 0);
    const [webhook] = received as [Received];
    const { items } = await keys.auditTrail({ keyId: key.id });
    const revoked = items.find(({ action }) => action === "revoked");
    expect(webhook.id).toBe(revoked?.id);
    expect(new Webhook(SECRET).verify(webhook.text, webhook.headers)).toEqual(webhook.body);
    expect(webhook.body).toEqual({
      type: "key.leaked",
      timestamp: revoked?.at.toISOString(),
      data: {
        key: {
          id: key.id,
          ownerId: "acme",
          name: "Truck",
          start: key.start,
          environment: "live",
          status: "revoked",
          scopes: ["vehicles:read"],
          expiresAt: null,
        },
        leak: LEAK,
        outcome: "revoked",
      },
    });
    await new Promise((resolve) => setTimeout(resolve, 100)); // several searches
    expect(received).toHaveLength(1);
    expect((await keys.auditTrail({ keyId: key.id })).items[0]).toMatchObject({
      action: "notified",
      details: { notice: webhook.id, type: "key.leaked" },
    });
  });

  it("has a signature for each secret while one is replaced", async () => {
    const { url, received } = await receiver();
    const { keys, create, send } = service();
    const next = `whsec_${randomBytes(24).toString("base64")}`;
    send(() => ({ url, secret: [next, SECRET] }));
    await keys.reportLeak((await create()).id, LEAK);
    await until(() => received.length > 0);
    const { text, headers } = received[0] as Received;
    for (const secret of [SECRET, next]) expect(new Webhook(secret).verify(text, headers)).toBeDefined();
    const other = new Webhook(`whsec_${randomBytes(24).toString("base64")}`);
    expect(() => other.verify(text, headers)).toThrow();
  });

  it("is sent after a restart if it was not delivered, and not again if it was", async () => {
    const { url, received } = await receiver();
    const { keys, create, send } = service();
    const [first, second] = [await create(), await create()];
    await keys.reportLeak(first.id, LEAK);
    const webhooks = send(() => ({ url, secret: SECRET }));
    await until(() => received.length === 1);
    await webhooks.close();
    await keys.reportLeak(second.id, { ...LEAK, action: "report" });
    send(() => ({ url, secret: SECRET }));
    await until(() => received.length === 2);
    expect(received.map(({ body }) => [body.data.key.id, body.data.outcome])).toEqual([
      [first.id, "revoked"],
      [second.id, "recorded"],
    ]);
  });

  it("is tried again after errors, redirects and timeouts, with the same id", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    let offset = 0;
    const clock = () => new Date(Date.now() + offset);
    const statuses = [500, 302, undefined, 404, 200];
    const { url, received, attempts } = await receiver((attempt) => statuses[attempt - 1]);
    const { keys, create, send } = service();
    const errors: string[] = [];
    const onError = (error: unknown) => errors.push(String((error as Error).message));
    await keys.reportLeak((await create()).id, LEAK);
    send(() => ({ url, secret: SECRET }), { clock, timeout: "200ms", onError });
    for (let attempt = 1; attempt < statuses.length; attempt++) {
      await until(() => errors.length === attempt);
      const before = attempts();
      await new Promise((resolve) => setTimeout(resolve, 60));
      expect(attempts()).toBe(before); // waits
      offset += 5_000 * 2 ** attempt;
    }
    await until(() => received.length === 1);
    expect(errors).toEqual([
      "The endpoint returned status 500",
      "The endpoint returned status 302",
      "The endpoint did not respond in time",
      "The endpoint returned status 404",
    ]);
    vi.restoreAllMocks();
  });

  it("is given up after retryFor", async () => {
    let offset = 0;
    const { url, attempts } = await receiver(() => 500);
    const { keys, create, send } = service();
    await keys.reportLeak((await create()).id, LEAK);
    const clock = () => new Date(Date.now() + offset);
    send(() => ({ url, secret: SECRET }), { clock });
    await until(() => attempts() === 1);
    offset = DAY + 1;
    await new Promise((resolve) => setTimeout(resolve, 100));
    const before = attempts();
    offset = 2 * DAY;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([before <= 2, attempts()]).toEqual([true, before]);
  });

  it("of one owner does not wait for the endpoints of 40 others, each of which has one attempt at a time", async () => {
    const slow = await receiver(() => undefined);
    const fast = await receiver();
    const { keys, create, send } = service();
    await keys.reportLeak((await create("fast")).id, LEAK);
    for (let i = 0; i < 80; i++) await keys.reportLeak((await create(`slow ${i % 40}`)).id, LEAK);
    send((ownerId) => ({ url: ownerId === "fast" ? fast.url : slow.url, secret: SECRET }));
    await until(() => fast.received.length === 1);
    await until(() => slow.attempts() === 40);
    await keys.reportLeak((await create("fast")).id, LEAK);
    await until(() => fast.received.length === 2);
    expect(slow.attempts()).toBe(40);
  });

  it("of an owner with too many notices are delivered later, and those of others now", async () => {
    const dead = await receiver(() => 500);
    const fast = await receiver();
    const { keys, create, send } = service();
    await keys.reportLeak((await create("fast")).id, LEAK);
    for (let i = 0; i < 300; i++) await keys.reportLeak((await create("dead")).id, LEAK);
    let url = dead.url;
    let offset = 0;
    const clock = () => new Date(Date.now() + offset);
    send((ownerId) => ({ url: ownerId === "fast" ? fast.url : url, secret: SECRET }), { clock });
    await until(() => fast.received.length === 1);
    url = fast.url;
    const isComplete = () => {
      offset += 1_000;
      return fast.received.length === 301;
    };
    await vi.waitUntil(isComplete, { timeout: 30_000, interval: 10 });
    expect(new Set(fast.received.map(({ id }) => id)).size).toBe(301);
  });

  it("is sent to an endpoint that is added later, and a hanging endpoint() is not waited for", async () => {
    const { url, received } = await receiver();
    const { keys, create, send } = service();
    await keys.reportLeak((await create("acme")).id, LEAK);
    await keys.reportLeak((await create("hanging")).id, LEAK);
    let isAdded = false;
    let offset = 0;
    const errors: string[] = [];
    const webhooks = send(
      (ownerId) =>
        ownerId === "hanging" ? new Promise(() => {}) : isAdded ? { url, secret: SECRET } : undefined,
      {
        clock: () => new Date(Date.now() + offset),
        timeout: "50ms",
        onError: (error) => errors.push((error as Error).message),
      },
    );
    await until(() => errors.length > 0);
    expect(errors[0]).toBe('"endpoint" did not return in time');
    isAdded = true;
    offset = 60_000;
    await until(() => received.length === 1);
    await webhooks.close();
  });

  it("waits for a store that is down", async () => {
    const store = memoryStore();
    let isDown = true;
    const auditTrail: typeof store.auditTrail = (query) => {
      if (isDown) throw new StoreError("down");
      return store.auditTrail(query);
    };
    const { url, received } = await receiver();
    const { keys, create } = service(store);
    await keys.reportLeak((await create()).id, { ...LEAK });
    const errors: unknown[] = [];
    const failing = service({ ...store, auditTrail });
    failing.send(() => ({ url, secret: SECRET }), { onError: (error) => errors.push(error) });
    await until(() => errors.length > 2);
    isDown = false;
    await until(() => received.length === 1);
  });
});

describe("keys.expiring", () => {
  it("is sent once for each key that expires within the time, also by two processes", async () => {
    const { url, received } = await receiver();
    const { keys, create, send } = service();
    const at = (days: number) => new Date(Date.now() + days * DAY);
    const soon = await create("acme", { expiresAt: at(3) });
    await create("acme", { expiresAt: at(30) });
    await create();
    const revoked = await create("acme", { expiresAt: at(3) });
    await keys.revoke(revoked.id);
    const first = send(() => ({ url, secret: SECRET }));
    await until(() => received.length === 1);
    await first.close();
    send(() => ({ url, secret: SECRET }));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(received.map(({ body }) => [body.type, body.data.key.id])).toEqual([["keys.expiring", soon.id]]);
    await keys.update(soon.id, { expiresAt: at(4) });
    send(() => ({ url, secret: SECRET }));
    await until(() => received.length === 2); // another expiry
    expect(received[0]?.id).not.toBe(received[1]?.id);
  });
});

describe("keys.expiring of a key whose expiry was moved", () => {
  it("is not sent", async () => {
    let offset = 0;
    const { url, received, attempts } = await receiver((attempt) => (attempt === 1 ? 500 : 204));
    const { keys, create, send } = service();
    const key = await create("acme", { expiresAt: new Date(Date.now() + 3 * DAY) });
    send(() => ({ url, secret: SECRET }), { clock: () => new Date(Date.now() + offset) });
    await until(() => attempts() === 1);
    await keys.update(key.id, { expiresAt: new Date(Date.now() + 365 * DAY) });
    offset = 60_000;
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect([attempts(), received]).toEqual([1, []]);
  });
});

describe("an endpoint", () => {
  const post = (url: string, allowPrivate = false) =>
    postJson(url, {}, "{}", { timeoutMs: 1_000, allowPrivate });

  it.each([
    "https://127.0.0.1/",
    "https://[::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://169.254.169.254/latest/meta-data",
    "https://10.1.2.3/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://[fd00::1]/",
    "https://[fe80::1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:0:127.0.0.1]/",
    "https://localhost/",
  ])("must not be %s", async (url) => {
    await expect(post(url)).rejects.toThrow("private address");
  });

  it.each([
    ["http://example.com/", "must begin with https:"],
    ["ftp://example.com/", "must begin with https:"],
    ["https://user:password@example.com/", "user name or password"],
    ["example.com", "is not valid"],
  ])("%s: %s", async (url, message) => {
    await expect(post(url)).rejects.toThrow(message);
    await expect(post(url)).rejects.not.toThrow("user:password");
  });

  it("without a valid secret receives nothing", async () => {
    const { url, attempts } = await receiver();
    const { keys, create, send } = service();
    const errors: Error[] = [];
    await keys.reportLeak((await create()).id, LEAK);
    send(() => ({ url, secret: "whsec_c2hvcnQ=" }), { onError: (error) => errors.push(error as Error) });
    await until(() => errors.length === 1);
    expect([attempts(), errors[0]?.message]).toEqual([0, expect.stringContaining("24 to 64 bytes")]);
    expect(errors[0]?.message).not.toContain("c2hvcnQ");
  });
});

describe("createKeyWebhooks", () => {
  const { keys, store } = service();
  const valid = { keys, store, endpoint: () => undefined };
  it.each([
    [{ other: 1 }, 'unknown option "other"'],
    [{ keys: {} }, '"keys" must have a method get()'],
    [{ store: {} }, '"store" must have a method appendAudit()'],
    [{ endpoint: "https://a.example" }, '"endpoint" must be a function'],
    [{ interval: 5 }, '"interval"'],
    [{ retryFor: "31d" }, '"retryFor"'],
    [{ allowPrivate: "yes" }, '"allowPrivate" must be true or false'],
  ])("rejects %j", (options, message) => {
    expect(() => createKeyWebhooks({ ...valid, ...options } as never)).toThrow(message);
  });
});
