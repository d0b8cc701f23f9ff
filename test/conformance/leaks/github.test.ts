import { connect } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { StoreError } from "../../../src/index.js";
import type { LeakReceiverOptions } from "../../../src/leaks/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { format } from "../../unit/core/fixtures.js";
import {
  createSigner,
  documentOf,
  type KeyServer,
  matchOf,
  sendSigned,
  sha256,
  startKeyServer,
  startReceiver,
} from "./service.js";

const signer = createSigner("current");
const opened: { close(): void }[] = [];

async function started(options: Partial<LeakReceiverOptions> = {}, store = memoryStore()) {
  const keyServer = await startKeyServer(documentOf(signer));
  const receiver = await startReceiver({ github: { keysUrl: keyServer.url }, ...options }, store);
  opened.push(keyServer, receiver);
  return { keyServer, receiver };
}

afterEach(() => {
  vi.restoreAllMocks();
  for (const server of opened.splice(0)) server.close();
});

describe("a report of GitHub", () => {
  it("revokes the keys of its secrets, and tells true from false positives", async () => {
    const { receiver } = await started();
    const { secret, id } = await receiver.issue();
    const other = format.generate("live");
    const response = await sendSigned(receiver, signer, [
      matchOf(other),
      matchOf(secret, { url: `https://github.example/search?q=${secret}`, source: "commit" }),
      matchOf("not ours"),
    ]);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual([
      { token_hash: sha256(other), token_type: "acme_api_key", label: "false_positive" },
      { token_hash: sha256(secret), token_type: "acme_api_key", label: "true_positive" },
      { token_hash: sha256("not ours"), token_type: "acme_api_key", label: "false_positive" },
    ]);
    expect(await receiver.manager.get(id)).toMatchObject({ status: "revoked", revokedReason: "leaked" });
    const [entry] = (await receiver.manager.auditTrail({ keyId: id })).items;
    const leak = { source: "github", type: "commit", url: "https://github.example/search?q=…" };
    expect(entry).toMatchObject({ action: "revoked", actor: "scanner:github", details: { leak } });
    expect(receiver.leaks).toMatchObject([{ outcome: "revoked", key: { id }, leak }]);
    expect(JSON.stringify([entry, receiver.leaks])).not.toContain(secret);
  });

  it("verifies the example of GitHub's documentation byte for byte", async () => {
    const { receiver, keyServer } = await started();
    keyServer.document = {
      public_keys: [
        {
          key_identifier: "f9525bf080f75b3506ca1ead061add62b8633a346606dc5fe544e29231c6ee0d",
          key: "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsz9ugWDj5jK5ELBK42ynytbo38gP\nHzZFI03Exwz8Lh/tCfL3YxwMdLjB+bMznsanlhK0RwcGP3IDb34kQDIo3Q==\n-----END PUBLIC KEY-----",
          is_current: true,
        },
      ],
    };
    const send = (body: string) =>
      fetch(receiver.url, {
        method: "POST",
        headers: {
          Accept: "*/*",
          "content-type": "application/json",
          "GITHUB-PUBLIC-KEY-IDENTIFIER": "f9525bf080f75b3506ca1ead061add62b8633a346606dc5fe544e29231c6ee0d",
          "GITHUB-PUBLIC-KEY-SIGNATURE":
            "MEUCIFLZzeK++IhS+y276SRk2Pe5LfDrfvTXu6iwKKcFGCrvAiEAhHN2kDOhy2I6eGkOFmxNkOJ+L2y8oQ9A2T9GGJo6WJY=",
        },
        body,
      });
    const body = '[{"token":"some_token","type":"some_type","url":"some_url","source":"some_source"}]';
    const response = await send(body);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual([
      { token_hash: sha256("some_token"), token_type: "some_type", label: "false_positive" },
    ]);
    expect((await send(`${body}\n`)).status).toBe(401);
  });

  it("changes nothing the second time", async () => {
    const { receiver } = await started();
    const { secret, id } = await receiver.issue();
    const first = await sendSigned(receiver, signer, [matchOf(secret), matchOf(secret)]);
    const trail = await receiver.manager.auditTrail({ keyId: id });
    const second = await sendSigned(receiver, signer, [matchOf(secret), matchOf(secret)]);
    expect(await second.text()).toBe(await first.text());
    expect(await receiver.manager.auditTrail({ keyId: id })).toEqual(trail);
    expect(receiver.leaks).toHaveLength(1);
  });

  it.each(["disable", "report"] as const)("can %s keys instead", async (action) => {
    const { receiver } = await started({ action });
    const { secret, id } = await receiver.issue();
    expect((await sendSigned(receiver, signer, [matchOf(secret)])).status).toBe(200);
    expect(await receiver.statusOf(id)).toBe(action === "disable" ? "disabled" : "active");
    expect(receiver.leaks).toHaveLength(1);
  });
});

describe("nothing changes, and the status says why", () => {
  const invalid: readonly (readonly [name: string, status: number, body: (secret: string) => unknown])[] = [
    ["no JSON", 400, () => "[{"],
    ["an object", 400, (secret) => matchOf(secret)],
    ["a match without a type", 400, (secret) => [{ token: secret }]],
    ["a match that is null", 400, (secret) => [matchOf(secret), null]],
    ["an empty token", 400, (secret) => [matchOf(secret), matchOf("")]],
    ["a duplicate member", 400, (secret) => `[{"token":"a","token":"${secret}","type":"b"}]`],
    ["10,001 matches", 413, (secret) => [matchOf(secret), ...Array(10_000).fill(matchOf("a"))]],
    ["more than 8 MiB", 413, (secret) => [matchOf(secret), matchOf("a".repeat(8 * 1_024 ** 2))]],
  ];
  it.each(invalid)("for %s", async (_, status, body) => {
    const { receiver } = await started();
    const { secret, id } = await receiver.issue();
    expect((await sendSigned(receiver, signer, body(secret))).status).toBe(status);
    expect(await receiver.statusOf(id)).toBe("active");
  });

  it("for a wrong signature, an altered byte, and a key of another signer or curve", async () => {
    const { receiver, keyServer } = await started();
    const p384 = createSigner("p384", "P-384");
    keyServer.document = documentOf(signer, p384);
    const { secret, id } = await receiver.issue();
    const body = [matchOf(secret)];
    const text = JSON.stringify(body);
    const other = createSigner(signer.identifier);
    const attempts = [
      sendSigned(receiver, other, body),
      sendSigned(receiver, signer, body, { sent: text.replace("app.env", "app.enw") }),
      sendSigned(receiver, signer, body, { signature: "" }),
      sendSigned(receiver, signer, body, { signature: "AAAA" }),
      sendSigned(receiver, signer, body, { signature: "MEUCIQ==" }),
      sendSigned(receiver, signer, body, { headers: { "Github-Public-Key-Identifier": "" } }),
      sendSigned(receiver, createSigner("unknown"), body),
      sendSigned(receiver, p384, body),
      fetch(receiver.url, { method: "POST", headers: { "Content-Type": "application/json" }, body: text }),
    ];
    for (const response of await Promise.all(attempts)) {
      expect(response.status).toBe(401);
      expect(await response.json()).toEqual({
        message: expect.any(String),
        code: expect.stringMatching(/^invalid_(?:signature|credential)$/),
        requestId: response.headers.get("x-request-id"),
      });
    }
    expect(await receiver.statusOf(id)).toBe("active");
  });

  it("for a replay after GitHub retired the key, and a key that is not current", async () => {
    const { receiver, keyServer } = await started();
    const { secret, id } = await receiver.issue();
    expect((await sendSigned(receiver, signer, [matchOf("a")])).status).toBe(200);
    const [retired] = documentOf(signer).public_keys;
    const next = createSigner("next");
    keyServer.document = {
      public_keys: [{ ...retired, is_current: false }, ...documentOf(next).public_keys],
    };
    const now = performance.now();
    vi.spyOn(performance, "now").mockImplementation(() => now + 10 * 60_000);
    expect((await sendSigned(receiver, signer, [matchOf(secret)])).status).toBe(401);
    expect(await receiver.statusOf(id)).toBe("active");
    expect((await sendSigned(receiver, next, [matchOf(secret)])).status).toBe(200);
    expect(await receiver.statusOf(id)).toBe("revoked");
  });

  it("for a body that arrives too slowly", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { receiver } = await started();
    const { port } = new URL(receiver.url);
    const socket = connect(Number(port), "127.0.0.1");
    socket.write(
      `POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n` +
        `Github-Public-Key-Identifier: current\r\nGithub-Public-Key-Signature: ${"A".repeat(96)}\r\n\r\n[`,
    );
    const answer = new Promise<string>((resolve) => socket.once("data", (data) => resolve(String(data))));
    const timer = setInterval(() => vi.advanceTimersByTime(1_000), 10);
    expect(await answer).toMatch(/^HTTP\/1\.1 408 /);
    clearInterval(timer);
    vi.useRealTimers();
    socket.destroy();
  });

  it("for a store that is down, and the same report works later", async () => {
    const store = memoryStore();
    let isDown = true;
    const update: typeof store.update = (...args) => {
      if (isDown) throw new StoreError("down");
      return store.update(...args);
    };
    const { receiver } = await started({}, { ...store, update });
    const [first, second] = [await receiver.issue(), await receiver.issue()];
    const body = [matchOf(first.secret), matchOf(second.secret)];
    const response = await sendSigned(receiver, signer, body);
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("5");
    expect(receiver.errors).toHaveLength(1);
    expect(receiver.leaks).toEqual([]);
    isDown = false;
    expect((await sendSigned(receiver, signer, body)).status).toBe(200);
    expect([await receiver.statusOf(first.id), await receiver.statusOf(second.id)]).toEqual([
      "revoked",
      "revoked",
    ]);
  });

  it("for keys of GitHub that cannot be fetched", async () => {
    const { receiver, keyServer } = await started();
    const { secret, id } = await receiver.issue();
    const documents: readonly Partial<KeyServer>[] = [
      { status: 500 },
      { status: 302 },
      { document: {} },
      { document: { public_keys: [{ key_identifier: "current", key: "no PEM", is_current: true }] } },
    ];
    for (const [index, change] of documents.entries()) {
      Object.assign(keyServer, { status: 200, document: documentOf(signer) }, change);
      vi.spyOn(performance, "now").mockImplementation(() => index * 2_000);
      expect((await sendSigned(receiver, signer, [matchOf(secret)])).status).toBe(503);
    }
    expect(await receiver.statusOf(id)).toBe("active");
  });
});

describe("the public keys of GitHub", () => {
  it("are fetched once for many reports, and for unknown identifiers at most once in two minutes", async () => {
    const { receiver, keyServer } = await started();
    await Promise.all(Array.from({ length: 5 }, () => sendSigned(receiver, signer, [])));
    expect(keyServer.requests).toBe(1);
    const send = (identifier: string) => sendSigned(receiver, createSigner(identifier), []);
    for (const identifier of ["a", "b", "c"]) expect((await send(identifier)).status).toBe(401);
    expect(keyServer.requests).toBe(1);
    const now = performance.now();
    vi.spyOn(performance, "now").mockImplementation(() => now + 2 * 60_000);
    await Promise.all(["d", "e"].map(send));
    expect(keyServer.requests).toBe(2);
  });
});

it("a report with 10,000 matches", async () => {
  const { receiver } = await started();
  const keys = await Promise.all(Array.from({ length: 20 }, () => receiver.issue()));
  const others = Array.from({ length: 9_980 }, (_, index) =>
    matchOf(index % 2 === 0 ? format.generate("live") : `token ${index}`),
  );
  const response = await sendSigned(receiver, signer, [
    ...others,
    ...keys.map(({ secret }) => matchOf(secret)),
  ]);
  expect(response.status).toBe(200);
  const feedback = (await response.json()) as { label: string }[];
  expect(feedback.filter(({ label }) => label === "true_positive")).toHaveLength(20);
  for (const { id } of keys) expect(await receiver.statusOf(id)).toBe("revoked");
});
