import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, inject, it } from "vitest";
import { CONFIG, done, freshPlace, run } from "../command.js";
import { administrator, bootstrap, call, SERVE, type Service, serve, sharedPlace } from "./service.js";

const { postgres, redis } = inject("servers");

const createAs = async (
  service: Service,
  admin: string,
  body: object,
): Promise<{ id: string; secret: string }> => {
  const { status, body: created } = await call(service, "POST", "/v1/api-keys", admin, body);
  expect(status).toBe(201);
  return { id: created.key.id, secret: created.secret };
};

describe("keybearer serve", { timeout: 60_000 }, () => {
  it("works without any configuration: a token, a key, a verification", async () => {
    const { folder } = freshPlace();
    const { rmSync, statSync } = await import("node:fs");
    rmSync(`${folder}/keybearer.config.json`);
    const service = await serve({ folder });
    const admin = await bootstrap(service);
    const { secret } = await createAs(service, admin, { scopes: ["keybearer:read"], name: "CI" });
    expect(secret).toMatch(/^key_/);
    const { status, body } = await call(service, "POST", "/verify", admin, { secret });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      allowed: true,
      principal: { ownerId: "operator", name: "CI", scopes: ["keybearer:read"] },
    });
    expect(statSync(`${folder}/keybearer.db`).mode & 0o777).toBe(0o600);
    expect((await call(service, "GET", "/healthz")).status).toBe(200);
    expect((await call(service, "GET", "/readyz")).status).toBe(200);
    const metrics = await call(service, "GET", "/metrics", admin);
    expect(metrics.body).toContain("keybearer_auth_decisions_total{");
    expect((await call(service, "GET", "/metrics")).status).toBe(401);
    expect((await call(service, "GET", "/v1/openapi.json")).body.openapi).toMatch(/^3\.1/);
    expect(await service.stop()).toBe(0);
    const { stdout, stderr } = service.output();
    for (const one of [admin, secret]) expect(stdout + stderr).not.toContain(one);
    expect(stdout).not.toContain(service.token);
    for (const line of stdout.trim().split("\n")) expect(JSON.parse(line)).toHaveProperty("level");
  });

  it.for([
    ["a SQLite file", undefined, false],
    ["PostgreSQL", postgres, postgres === undefined],
    ["Redis", redis, redis === undefined],
  ] as const)("gives 8 processes on %s one token, which works once", async ([, url, missing], { skip }) => {
    if (missing) skip();
    const place = sharedPlace(url);
    const services = await Promise.all(Array.from({ length: 8 }, () => serve(place)));
    const tokens = services.flatMap(({ token }) => token ?? []);
    expect(tokens).toHaveLength(1);
    const token = tokens[0];
    const replies = await Promise.all(
      services.map((service) => call(service, "POST", "/bootstrap", undefined, { token })),
    );
    expect(replies.map(({ status }) => status).sort()).toEqual([201, ...Array(7).fill(403)]);
    const secret = replies.find(({ status }) => status === 201)?.body.secret;
    for (const service of services) expect((await call(service, "GET", "/v1/me", secret)).status).toBe(200);
    const first = services[0] as Service;
    const asCredential = await call(first, "GET", "/v1/me", token);
    expect(asCredential.body.code).toBe("invalid_key");

    await Promise.all(services.map((service) => service.stop()));
    const again = await serve(place);
    expect(again.token).toBeUndefined();
    expect((await call(again, "POST", "/bootstrap", undefined, { token })).status).toBe(403);
    expect((await call(again, "GET", "/v1/me", secret)).status).toBe(200);
  });

  it("refuses a public address without an administrator, and needs none with one", async () => {
    const place = freshPlace(undefined, SERVE);
    const refused = await run(place, ["serve", "--host", "0.0.0.0", "--port", "0"]);
    expect(refused).toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringContaining("no administrator"),
    });
    expect(refused.stderr).not.toContain("keybearer_bootstrap_");
    const command = ["create", "--owner", "operator", "--scope", "keybearer:admin"];
    const secret = (await done(place, command)).trim();
    const service = await serve(place, ["--host", "0.0.0.0", "--port", "0"]);
    expect(service.token).toBeUndefined();
    const local = { url: service.url.replace("0.0.0.0", "127.0.0.1") };
    expect((await call(local, "GET", "/v1/me", secret)).status).toBe(200);
  });

  it("reports mistakes with the line of the file, the variable or the option", async () => {
    const place = freshPlace(undefined, SERVE);
    const { writeFileSync } = await import("node:fs");
    const text = (serveSection: string) =>
      `{\n  "prefix": "ezt",\n  "scopes": {},\n  "serve": {\n${serveSection}\n  }\n}\n`;
    const messageOf = async (section: string, args: readonly string[] = [], env = {}) => {
      writeFileSync(`${place.folder}/keybearer.config.json`, text(section));
      const { code, stderr } = await run(place, ["serve", ...args], { env });
      expect(code).toBe(2);
      return stderr.trim();
    };
    expect(await messageOf('    "port": "x"')).toBe(
      'keybearer: keybearer.config.json:5: "serve.port" must be a number',
    );
    expect(await messageOf('    "limits": {\n      "headersTimeout": 5\n    }')).toBe(
      'keybearer: keybearer.config.json:6: "serve.limits.headersTimeout" must be a duration such as "30s"',
    );
    expect(await messageOf('    "prot": 1')).toBe(
      'keybearer: keybearer.config.json:5: "serve" has an unknown member "prot"',
    );
    expect(await messageOf('    "port": 1', ["--port", "99999"])).toBe(
      "keybearer: --port must be at most 65535",
    );
    expect(await messageOf("", [], { KEYBEARER_WORKERS: "0" })).toBe(
      "keybearer: KEYBEARER_WORKERS must be at least 1",
    );
    expect(await messageOf('    "openVerify": true', ["--host", "0.0.0.0"])).toContain(
      "needs a loopback address",
    );
  });

  it("isolates owners, and lets only the operator verify the keys of every owner", async () => {
    const place = freshPlace(undefined, SERVE);
    const create = async (owner: string, ...scopes: readonly string[]) =>
      (await done(place, ["create", "--owner", owner, "--scope", ...scopes])).trim();
    const operator = await administrator(place);
    const a = await create("a", "keybearer:write", "vehicles:read");
    const b = await create("b", "keybearer:admin");
    const service = await serve(place);
    const check = async (caller: string | undefined, secret: string, more: object = {}) => {
      const { status, body } = await call(service, "POST", "/verify", caller, { secret, ...more });
      if (body.error?.requestId) body.error.requestId = "";
      return { status, body };
    };
    expect((await check(undefined, a)).status).toBe(401);
    expect((await check(operator, a)).body.principal.ownerId).toBe("a");
    expect((await check(a, a, { requirement: "vehicles:read" })).body.allowed).toBe(true);
    expect(
      (await check(a, a, { requirement: { anyOf: ["vehicles:write", "vehicles:read"] } })).body.allowed,
    ).toBe(true);
    expect((await check(a, a, { requirement: ["vehicles:write"] })).body.error).toMatchObject({
      code: "insufficient_scope",
      status: 403,
      missingScopes: ["vehicles:write"],
    });
    expect((await check(a, a, { requirement: "typo" })).status).toBe(400);
    expect((await check(a, a, { requirement: [] })).status).toBe(400);
    expect((await check(a, a, { ownerId: "b" })).status).toBe(400);
    // The key of another owner cannot be told from one that never existed, not even by a scope that it lacks.
    const unknown = await create("a", "vehicles:read");
    const { items } = (await call(service, "GET", "/v1/api-keys", a)).body;
    expect(items.every(({ ownerId }: { ownerId: string }) => ownerId === "a")).toBe(true);
    const foreign = await check(b, unknown, { requirement: "vehicles:write" });
    const missing = await check(
      b,
      unknown.replace(/.$/, (last) => (last === "0" ? "1" : "0")),
    );
    expect(foreign).toEqual(missing);
    expect(foreign.body).toMatchObject({ allowed: false, error: { code: "invalid_key" } });
    const id = items[0].id;
    expect((await call(service, "DELETE", `/v1/api-keys/${id}`, b, {})).status).toBe(404);
    expect((await call(service, "POST", "/v2/keys.deleteKey", b, { keyId: id })).status).toBe(404);
    for (const caller of [a, b]) expect((await call(service, "GET", "/metrics", caller)).status).toBe(403);
  });

  it("verifies the address of the client, not that of the calling service", async () => {
    const place = freshPlace(undefined, SERVE);
    const admin = await administrator(place);
    const command = ["create", "--owner", "a", "--scope", "vehicles:read", "--ip", "203.0.113.0/24"];
    const secret = (await done(place, command)).trim();
    const service = await serve(place);
    const codeOf = async (clientIp?: string) => {
      const { body } = await call(service, "POST", "/verify", admin, {
        secret,
        ...(clientIp && { clientIp }),
      });
      return body.allowed ? "allowed" : body.error.code;
    };
    expect(await codeOf("203.0.113.9")).toBe("allowed");
    expect(await codeOf("198.51.100.1")).toBe("ip_not_allowed");
    expect(await codeOf()).toBe("ip_not_allowed");
    expect(await codeOf("203.0.113.9, 1.2.3.4")).toBe("ip_not_allowed");
  });

  it.for([
    ["PostgreSQL", postgres],
    ["Redis", redis],
  ] as const)("denies a key in every process after one revoked it, on %s", async ([, url], { skip }) => {
    if (url === undefined) skip();
    const place = sharedPlace(url);
    const [one, other] = [await serve(place), await serve(place)];
    const admin = await bootstrap(one);
    const { id, secret } = await createAs(one, admin, { scopes: ["vehicles:read"] });
    const isAllowed = async (service: Service) =>
      (await call(service, "POST", "/verify", admin, { secret })).body.allowed;
    expect([await isAllowed(one), await isAllowed(other)]).toEqual([true, true]);
    expect((await call(one, "DELETE", `/v1/api-keys/${id}`, admin, {})).status).toBe(200);
    expect(await isAllowed(one)).toBe(false);
    while (await isAllowed(other)) await sleep(20); // the test times out if it never happens
    await sleep(1_500);
    expect(await isAllowed(other)).toBe(false);
  });

  it("limits headers, bodies and slow clients", async () => {
    const limits = { headerBytes: 2_048, headersTimeout: "500ms", requestTimeout: "1s" };
    const service = await serve(freshPlace(undefined, { ...CONFIG, serve: { limits } }));
    const { port } = new URL(service.url);
    const reply = (text: string) =>
      new Promise<string>((resolve, reject) => {
        let received = "";
        const socket = connect(Number(port), "127.0.0.1", () => socket.write(text));
        socket.setEncoding("utf8").on("data", (part) => {
          received += part;
        });
        socket.on("error", reject).on("close", () => resolve(received));
      });
    expect(await reply(`GET /healthz HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(4_096)}\r\n\r\n`)).toContain(
      " 431 ",
    );
    expect(await reply("GET /healthz HTTP/1.1\r\nHost: a\r\nX: ")).toContain(" 408 ");
    expect(
      await reply(
        "POST /verify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
      ),
    ).toMatch(/ (401|408) /);
    const large = await call(service, "POST", "/bootstrap", undefined, { token: "x".repeat(70_000) });
    expect(large.status).toBe(413);
    expect((await call(service, "GET", "/nothing")).status).toBe(404);
    expect((await call(service, "GET", "/verify")).status).toBe(405);
  });

  it("runs several workers, adds their metrics, replaces one that was killed, and finishes requests on SIGTERM", async () => {
    const place = freshPlace(undefined, SERVE);
    const admin = await administrator(place);
    const port = await freePort();
    const service = await serve(place, ["--port", String(port), "--workers", "3"]);
    while (service.output().stdout.split('"listening"').length < 4) await sleep(20);
    for (let index = 0; index < 12; index++) {
      expect((await call(service, "POST", "/verify", admin, { secret: admin })).body.allowed).toBe(true);
    }
    const { body } = await call(service, "GET", "/metrics", admin);
    const decisions = [...body.matchAll(/^keybearer_auth_decisions_total\{.*"allowed".*\} (\d+)$/gm)];
    // Two for each verification, and one for the request for the metrics.
    expect(decisions.reduce((sum, [, count]) => sum + Number(count), 0)).toBe(25);

    const inUse = await run(place, ["serve", "--port", String(port), "--workers", "2"]);
    expect(inUse).toMatchObject({ code: 1, stderr: expect.stringContaining("EADDRINUSE") });

    const pids = [...service.output().stdout.matchAll(/"listening","pid":(\d+)/g)].map(([, pid]) =>
      Number(pid),
    );
    process.kill(pids[0] as number, "SIGKILL");
    while (service.output().stdout.split('"listening"').length < 5) await sleep(20);
    expect((await call(service, "POST", "/verify", admin, { secret: admin })).body.allowed).toBe(true);

    const socket = connect(port, "127.0.0.1");
    const payload = JSON.stringify({ secret: admin });
    const head = `POST /verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${admin}\r\nContent-Type: application/json\r\nContent-Length: ${payload.length}\r\n\r\n`;
    socket.write(head + payload.slice(0, 5));
    await sleep(300);
    const stopped = service.stop();
    await sleep(300);
    let received = "";
    socket.setEncoding("utf8").on("data", (part) => {
      received += part;
    });
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.write(payload.slice(5));
    expect(await stopped).toBe(0);
    await closed;
    expect(received).toContain(" 200 ");
    expect(received).toContain('"allowed":true');
    await expect(call(service, "GET", "/healthz")).rejects.toThrow();
  });
});

async function freePort(): Promise<number> {
  const { createServer } = await import("node:net");
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
