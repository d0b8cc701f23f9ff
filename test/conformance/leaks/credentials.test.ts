import { afterEach, describe, expect, it } from "vitest";
import { createLeakReceiver, type LeakReceiverOptions } from "../../../src/leaks/index.js";
import { format, service } from "../../unit/core/fixtures.js";
import { CREDENTIAL, type Receiver, startReceiver } from "./service.js";

const TYPE = "gitleaks_rule_id_acme_api_key";
const OPTIONS: Partial<LeakReceiverOptions> = {
  github: false,
  gitlab: { credential: CREDENTIAL, types: [TYPE] },
  trufflehog: { credential: `${CREDENTIAL}-2` },
};
const opened: Receiver[] = [];

async function started(options = OPTIONS) {
  const receiver = await startReceiver(options);
  opened.push(receiver);
  const send = (method: string, path: string, headers: Record<string, string>, body?: unknown) =>
    fetch(receiver.url + path, {
      method,
      headers: { "Content-Type": "application/json", ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  return { receiver, send };
}

afterEach(() => {
  for (const receiver of opened.splice(0)) receiver.close();
});

describe("GitLab", () => {
  it("reads the types, and revokes tokens, with the credential in Authorization", async () => {
    const { receiver, send } = await started();
    const { secret, id } = await receiver.issue();
    const types = await send("GET", "/leaks/v1/revocable_token_types", { Authorization: CREDENTIAL });
    expect([types.status, await types.json()]).toEqual([200, { types: [TYPE] }]);
    const location = "https://gitlab.example/a/b/blob/1/c.env";
    const response = await send("POST", "/v1/revoke_tokens", { Authorization: CREDENTIAL }, [
      { type: TYPE, token: format.generate("live"), location },
      { type: TYPE, token: secret, location },
    ]);
    expect([response.status, await response.text()]).toEqual([204, ""]);
    expect(await receiver.statusOf(id)).toBe("revoked");
    expect(receiver.leaks).toMatchObject([{ leak: { source: "gitlab", type: null, url: location } }]);
  });

  it("revokes tokens with X-Gitlab-Token at any path", async () => {
    const { receiver, send } = await started();
    const { secret, id } = await receiver.issue();
    const url = "https://gitlab.example/a/b/blob/1/c.env";
    const headers = { "X-Gitlab-Token": CREDENTIAL };
    expect((await send("POST", "/", headers, [{ type: TYPE, token: secret, url }])).status).toBe(204);
    expect(await receiver.statusOf(id)).toBe("revoked");
    expect(receiver.leaks).toMatchObject([{ leak: { url } }]);
  });

  it("changes nothing for other credentials, types and methods", async () => {
    const { receiver, send } = await started();
    const { secret, id } = await receiver.issue();
    const path = "/v1/revoke_tokens";
    const body = [{ type: TYPE, token: secret }];
    const mixed = [...body, { type: "other", token: "a" }];
    const statuses = [
      await send("POST", path, {}, body),
      await send("POST", path, { Authorization: `${CREDENTIAL}-2` }, body),
      await send("POST", path, { Authorization: `Basic ${CREDENTIAL}` }, body),
      await send("POST", "/", { "X-Gitlab-Token": "wrong" }, body),
      await send("GET", "/v1/revocable_token_types", {}),
      await send("POST", path, { Authorization: CREDENTIAL }, mixed),
      await send("GET", path, { Authorization: CREDENTIAL }),
      await send("POST", path, { Authorization: CREDENTIAL, "Content-Type": "text/plain" }, body),
    ].map(({ status }) => status);
    expect(statuses).toEqual([401, 401, 401, 401, 401, 400, 405, 415]);
    expect(await receiver.statusOf(id)).toBe("active");
  });
});

describe("TruffleHog", () => {
  const Authorization = `Bearer ${CREDENTIAL}-2`;
  const question = (...tokens: unknown[]) => ({ "acme key": { token: tokens } });

  it("sees 200 for a live secret and 403 for others, and nothing changes", async () => {
    const { receiver, send } = await started();
    const { secret, id } = await receiver.issue();
    const ask = async (body: unknown) => (await send("POST", "/leaks", { Authorization }, body)).status;
    expect(await ask(question(`key = ${secret}`, secret))).toBe(200);
    expect(await ask(question(format.generate("live")))).toBe(403);
    expect(await ask(question(`key = ${secret}`, 1, null))).toBe(403);
    expect(await ask({ "acme key": [secret], other: null })).toBe(403);
    expect(await ask([secret])).toBe(400);
    const trail = await receiver.manager.auditTrail({ keyId: id });
    expect([trail.items.length, await receiver.statusOf(id), receiver.leaks]).toEqual([1, "active", []]);
    await receiver.manager.disable(id);
    expect(await ask(question(secret))).toBe(403);
  });

  it("cannot ask without the credential", async () => {
    const { receiver, send } = await started();
    const { secret } = await receiver.issue();
    for (const headers of [{}, { Authorization: "Bearer wrong" }, { Authorization: CREDENTIAL }]) {
      const response = await send("POST", "/leaks", headers as Record<string, string>, question(secret));
      expect(response.status).toBe(401);
      expect(await response.text()).not.toContain(secret);
    }
    const { send: sendToGithubOnly } = await started({});
    expect((await sendToGithubOnly("POST", "/", { Authorization }, question(secret))).status).toBe(401);
  });
});

describe("createLeakReceiver", () => {
  const { manager } = service();
  it.each([
    [{ onLeaks: () => {} }, 'unknown option "onLeaks"'],
    [{ keys: {} }, '"keys" must have a method identify()'],
    [{ format: [] }, '"format" must not be an empty array'],
    [{ action: "delete" }, '"action" must be "revoke", "disable" or "report"'],
    [{ action: "report", descendants: true }, '"descendants"'],
    [{ github: false }, 'at least one of "github", "gitlab" and "trufflehog"'],
    [{ github: { keysUrl: "http://github.example/" } }, '"github.keysUrl" must be an https: URL'],
    [{ github: { token: "a b" } }, '"github.token"'],
    [{ gitlab: { credential: "short", types: ["a"] } }, '"gitlab.credential" must have at least 16'],
    [{ gitlab: { credential: CREDENTIAL, types: [] } }, '"gitlab.types"'],
    [{ trufflehog: { credential: undefined } }, '"trufflehog.credential" must be a string'],
    [{ trufflehog: { credential: CREDENTIAL, token: "a" } }, 'unknown option "token"'],
  ])("rejects %j", (options, message) => {
    expect(() => createLeakReceiver({ keys: manager, format, ...options } as never)).toThrow(message);
  });
});
