import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  brief,
  checkResponse,
  createReport,
  type DemoResponse,
  type Expected,
} from "../../examples/fleet/report.js";
import { adjustableClock, runScenario } from "../../examples/fleet/scenario.js";
import { scopes } from "../../examples/fleet/scopes.js";
import { FRAMEWORKS, type Framework, type RunningFleet, start } from "../../examples/fleet/serve.js";
import type { FleetScope } from "../../examples/fleet/setup.js";

const ROOT = new URL("../..", import.meta.url).pathname;
const DEMO = ["--import", "./examples/source.mjs", "examples/fleet/demo.ts"];
const FULL_SECRET = /ezt_(live|test)_[0-9A-Za-z]{30,}/;
const NOW = new Date("2025-05-01T12:00:00Z");

const directory = mkdtempSync(join(tmpdir(), "fleet-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
let files = 0;
const freshFile = () => join(directory, `${++files}`, "fleet.db");

interface Reply {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

type Init = Omit<RequestInit, "headers"> & { headers?: Record<string, string> };

async function send(fleet: RunningFleet, path: string, secret?: string, init: Init = {}): Promise<Reply> {
  const headers: Record<string, string> = { "X-Request-Id": "req-of-the-test", ...init.headers };
  if (secret !== undefined) headers.Authorization = `Bearer ${secret}`;
  const response = await fetch(fleet.url + path, { ...init, headers });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

const json = (method: string, body: unknown): Init => ({
  method,
  headers: { "Content-Type": "application/json" },
  body: typeof body === "string" ? body : JSON.stringify(body),
});

async function key(fleet: RunningFleet, scopes: FleetScope[], ownerId = "acme-haulage", more = {}) {
  const { secret } = await fleet.keys.create({ ownerId, scopes, environment: "live", ...more });
  return secret;
}

describe.each(FRAMEWORKS)("the fleet API in %s", (framework) => {
  let fleet: RunningFleet;
  const data = freshFile();
  beforeAll(async () => {
    fleet = await start(framework, 0, { data });
  });
  afterAll(() => fleet.close());

  const ROUTES: [method: string, path: string, scope: FleetScope, granted: number][] = [
    ["GET", "/fleet/vehicles", "vehicles:read", 200],
    ["GET", "/fleet/drivers", "drivers:read", 200],
    ["POST", "/fleet/drivers", "drivers:write", 201],
    ["PATCH", "/fleet/drivers", "drivers:write", 200],
    ["PATCH", "/fleet/drivers/drv_1", "drivers:write", 200],
    ["GET", "/fleet/hos", "hos:read", 200],
    ["GET", "/fleet/inspections", "inspections:read", 200],
  ];
  const BODIES: Record<string, object> = {
    "POST /fleet/drivers": { name: "Mia Lund", licence: "NL-CE-771204" },
    "PATCH /fleet/drivers": { id: "drv_1", status: "inactive" },
    "PATCH /fleet/drivers/drv_1": { status: "active" },
  };

  it.each(ROUTES)("%s %s requires %s", async (method, path, scope, granted) => {
    const body = BODIES[`${method} ${path}`];
    const init = body ? json(method, body) : { method };
    expect((await send(fleet, path, undefined, init)).status).toBe(401);
    expect((await send(fleet, path, await key(fleet, [scope]), init)).status).toBe(granted);
    expect((await send(fleet, path, await key(fleet, ["fleet:admin"]), init)).status).toBe(granted);
    const others = scopes.names.filter((name) => name !== "fleet:admin" && name !== "reports:read");
    const insufficient = others.filter((name) => !scopes.explain([name], scope).granted);
    const denied = await send(fleet, path, await key(fleet, insufficient), init);
    expect(denied.status).toBe(403);
    expect(JSON.parse(denied.text)).toMatchObject({
      code: "insufficient_scope",
      missingScopes: [scope],
      requestId: "req-of-the-test",
    });
  });

  it("returns only the data of the company", async () => {
    for (const [company, foreign] of [
      ["acme-haulage", "borealis"],
      ["borealis-freight", "acme"],
      ["unknown-company", "haulage"],
    ] as const) {
      const secret = await key(fleet, ["fleet:admin"], company);
      for (const path of ["/fleet/vehicles", "/fleet/drivers", "/fleet/hos", "/fleet/inspections"]) {
        expect((await send(fleet, path, secret)).text).not.toContain(foreign);
      }
    }
    const { text } = await send(fleet, "/fleet/vehicles", await key(fleet, ["vehicles:read"]));
    expect(JSON.parse(text).vehicles.map((vehicle: { name: string }) => vehicle.name)).toEqual([
      "Truck 101",
      "Truck 102",
      "Van 3",
    ]);
  });

  it("does not change the drivers of other companies", async () => {
    const secret = await key(fleet, ["drivers:write"], "borealis-freight");
    for (const reply of [
      await send(fleet, "/fleet/drivers/drv_2", secret, json("PATCH", { name: "Taken Over" })),
      await send(fleet, "/fleet/drivers", secret, json("PATCH", { id: "drv_2", name: "Taken Over" })),
    ]) {
      expect(reply.status).toBe(404);
      expect(JSON.parse(reply.text).code).toBe("driver_not_found");
    }
    expect((await send(fleet, "/fleet/drivers", await key(fleet, ["drivers:read"]))).text).not.toContain(
      "Taken",
    );
  });

  it("returns /me without hash and allowlist", async () => {
    const secret = await key(fleet, ["hos:read"], "acme-haulage", {
      name: "Tachograph",
      ipAllowlist: ["127.0.0.0/8"],
    });
    const { status, text } = await send(fleet, "/me", secret);
    expect(status).toBe(200);
    const members = "id,ownerId,name,start,environment,scopes,status,createdAt,expiresAt,lastUsedAt";
    expect(Object.keys(JSON.parse(text)).join()).toBe(members);
    expect(JSON.parse(text)).toMatchObject({ name: "Tachograph", scopes: ["hos:read"], status: "active" });
    expect(text).not.toContain("127.0.0.0");
  });

  it("denies uploads without a key before it reads them", async () => {
    const reply = await send(fleet, "/fleet/drivers", undefined, json("POST", "x".repeat(1_000_000)));
    expect([reply.status, JSON.parse(reply.text).code]).toEqual([401, "missing_credential"]);
  });

  it("does not name the framework, and responds to unknown routes with JSON", async () => {
    for (const path of ["/", "/fleet", "/fleet/vehicles/", "/FLEET/vehicles", "/fleet/trucks?key=1"]) {
      const reply = await send(fleet, path);
      expect(reply.headers.get("X-Powered-By")).toBeNull();
      expect(reply.headers.get("Content-Type")).toMatch(/^application\/json/);
      expect([reply.status, JSON.parse(reply.text)]).toEqual([
        404,
        { message: "There is no such route.", code: "not_found", requestId: "req-of-the-test" },
      ]);
    }
    const { headers } = await send(fleet, "/fleet/vehicles", await key(fleet, ["vehicles:read"]));
    expect(headers.get("X-Powered-By")).toBeNull();
  });

  it("serves further requests after a body that is too large", async () => {
    const secret = await key(fleet, ["drivers:write"]);
    for (let round = 0; round < 5; round++) {
      const large = await send(fleet, "/fleet/drivers", secret, json("POST", "x".repeat(200_000)));
      expect([large.status, JSON.parse(large.text).code]).toEqual([413, "body_too_large"]);
      expect((await send(fleet, "/fleet/drivers", secret)).status).toBe(200);
    }
  });

  it("keeps keys and revocations after a restart", async () => {
    const file = freshFile();
    const first = await start(framework, 0, { data: file });
    const kept = await key(first, ["vehicles:read"]);
    const { secret: revoked, key: gone } = await first.keys.create({
      ownerId: "acme-haulage",
      scopes: ["vehicles:read"],
      environment: "live",
    });
    expect((await send(first, "/fleet/vehicles", kept)).status).toBe(200);
    await first.keys.revoke(gone.id);
    await first.close();
    const second = await start(framework, 0, { data: file });
    try {
      expect((await send(second, "/fleet/vehicles", revoked)).status).toBe(401);
      const { text } = await send(second, "/me", kept);
      expect(JSON.parse(text).lastUsedAt).toEqual(expect.any(String));
    } finally {
      await second.close();
    }
  });

  it("allows the admins of a company to manage its keys over HTTP", async () => {
    const acme = await fleet.adminJwt("acme-haulage");
    const borealis = await fleet.adminJwt("borealis-freight");
    const body = { name: "Telematics", scopes: ["vehicles:read"], environment: "live" };
    const created = await send(fleet, "/admin/api-keys", acme, json("POST", body));
    expect(created.status).toBe(201);
    const { secret, key: made } = JSON.parse(created.text);
    expect(made).toMatchObject({ ...body, ownerId: "acme-haulage", status: "active" });
    expect(created.headers.get("Location")).toBe(`/admin/api-keys/${made.id}`);
    expect((await send(fleet, "/fleet/vehicles", secret)).status).toBe(200);

    const list = await send(fleet, "/admin/api-keys", acme);
    expect(JSON.parse(list.text).items[0]).toEqual(made);
    expect(list.text).not.toMatch(FULL_SECRET);
    expect((await send(fleet, "/admin/api-keys", borealis)).text).not.toContain(made.id);

    for (const init of [{}, { method: "DELETE" }, json("PATCH", { name: "Taken Over" })]) {
      const foreign = await send(fleet, `/admin/api-keys/${made.id}`, borealis, init);
      expect([foreign.status, JSON.parse(foreign.text)]).toEqual([
        404,
        { message: "No key has this id.", code: "not_found", requestId: "req-of-the-test" },
      ]);
    }
    const renamed = await send(fleet, `/admin/api-keys/${made.id}`, acme, json("PATCH", { name: "Renamed" }));
    expect(JSON.parse(renamed.text).name).toBe("Renamed");
    expect((await send(fleet, `/admin/api-keys/${made.id}`, acme, { method: "DELETE" })).status).toBe(200);
    expect((await send(fleet, "/fleet/vehicles", secret)).status).toBe(401);
  });

  it("denies key management to keys and forged JWTs, and keys for other owners", async () => {
    const jwt = await fleet.adminJwt("acme-haulage");
    const all = await key(fleet, ["fleet:admin"]);
    const body = { scopes: ["vehicles:read"], environment: "live" };
    for (const token of [undefined, all, `${jwt.slice(0, -4)}AAAA`]) {
      expect((await send(fleet, "/admin/api-keys", token)).status).toBe(401);
      expect((await send(fleet, "/admin/api-keys", token, json("POST", body))).status).toBe(401);
    }
    expect((await send(fleet, "/fleet/vehicles", jwt)).status).toBe(401);
    for (const more of [
      { ownerId: "borealis-freight" },
      { scopes: ["reports:read"] },
      { expiresAt: "soon" },
    ]) {
      const { status, text } = await send(fleet, "/admin/api-keys", jwt, json("POST", { ...body, ...more }));
      expect(status).toBe(400);
      expect(JSON.parse(text)).toMatchObject({
        code: "invalid_body",
        requestId: "req-of-the-test",
        problems: [{ path: expect.stringContaining(Object.keys(more)[0] as string) }],
      });
    }
  });

  it("rejects bodies under /admin that are too large or not JSON, and serves further requests", async () => {
    const jwt = await fleet.adminJwt("acme-haulage");
    const large = await send(fleet, "/admin/api-keys", jwt, json("POST", `"${"x".repeat(200_000)}"`));
    expect([large.status, JSON.parse(large.text).code]).toEqual([413, "body_too_large"]);
    const broken = await send(fleet, "/admin/api-keys", jwt, json("POST", '{"name":'));
    expect([broken.status, JSON.parse(broken.text).code]).toEqual([400, "invalid_body"]);
    for (const path of ["/admin/other", "/admin/api-keys/", "/admin/"]) {
      const { status, text } = await send(fleet, path, jwt);
      expect([path, status, JSON.parse(text).code]).toEqual([path, 404, "not_found"]);
    }
    const { status, text } = await send(fleet, "/admin/openapi.json");
    expect([status, JSON.parse(text).info.title]).toEqual([200, "Keys of the fleet API"]);
  });

  it("closes the database if the port is in use", async () => {
    const port = Number(new URL(fleet.url).port);
    await expect(start(framework, port, { data: freshFile() })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});

describe("the four frameworks", () => {
  const data = freshFile();
  const fleets = new Map<Framework, RunningFleet>();
  const secrets: Record<string, string> = {};
  beforeAll(async () => {
    for (const framework of FRAMEWORKS) {
      fleets.set(framework, await start(framework, 0, { data, clock: () => NOW }));
    }
    const [fleet] = fleets.values() as Iterable<RunningFleet> as unknown as [RunningFleet];
    secrets.admin = await key(fleet, ["fleet:admin"]);
    secrets.reader = await key(fleet, ["vehicles:read"]);
    secrets.elsewhere = await key(fleet, ["vehicles:read"], "acme-haulage", {
      ipAllowlist: ["203.0.113.0/24"],
    });
    secrets.test = await key(fleet, ["vehicles:read"], "acme-haulage", { environment: "test" });
  });
  afterAll(async () => {
    for (const fleet of fleets.values()) await fleet.close();
  });

  const bytes = (...values: number[]): Init => ({
    ...json("POST", ""),
    body: new Uint8Array(values),
  });
  const typed = (type: string, body: string): Init => ({
    method: "POST",
    headers: { "Content-Type": type },
    body,
  });
  const REQUESTS: [name: string, status: number, path: string, who?: string | undefined, init?: Init][] = [
    ["vehicles", 200, "/fleet/vehicles", "reader"],
    ["drivers", 200, "/fleet/drivers", "admin"],
    ["hours", 200, "/fleet/hos", "admin"],
    ["inspections", 200, "/fleet/inspections", "admin"],
    ["me", 200, "/me", "admin"],
    ["a missing key", 401, "/fleet/vehicles"],
    ["another scheme", 401, "/fleet/vehicles", undefined, { headers: { Authorization: "Basic YTpi" } }],
    ["an invalid key", 401, "/fleet/vehicles", "junk"],
    ["a test key", 401, "/fleet/vehicles", "test"],
    ["another network", 403, "/fleet/vehicles", "elsewhere"],
    ["a missing scope", 403, "/fleet/hos", "reader"],
    ["an unknown route", 404, "/fleet/trips", "admin"],
    ["an unknown method", 404, "/fleet/vehicles", "admin", { method: "DELETE" }],
    ["OPTIONS", 404, "/fleet/vehicles", "admin", { method: "OPTIONS" }],
    ["HEAD", 200, "/fleet/vehicles", "admin", { method: "HEAD" }],
    ["HEAD without a key", 401, "/fleet/vehicles", undefined, { method: "HEAD" }],
    ["a new driver", 201, "/fleet/drivers", "admin", json("POST", { name: " Åsa ", licence: "SE-CE-1" })],
    ["a changed driver", 200, "/fleet/drivers", "admin", json("PATCH", { id: "drv_4", status: "inactive" })],
    ["a driver by path", 200, "/fleet/drivers/drv_4", "admin", json("PATCH", { name: "Åsa B" })],
    ["drivers afterwards", 200, "/fleet/drivers", "admin"],
    ["an unknown driver", 404, "/fleet/drivers/drv_99", "admin", json("PATCH", { name: "X" })],
    [
      "a driver of another company",
      404,
      "/fleet/drivers",
      "admin",
      json("PATCH", { id: "drv_3", name: "X" }),
    ],
    ["a missing id", 400, "/fleet/drivers", "admin", json("PATCH", { name: "X" })],
    [
      "an id in path and body",
      400,
      "/fleet/drivers/drv_1",
      "admin",
      json("PATCH", { id: "drv_1", name: "X" }),
    ],
    ["an empty change", 400, "/fleet/drivers/drv_1", "admin", json("PATCH", {})],
    ["a change with only an id", 400, "/fleet/drivers", "admin", json("PATCH", { id: "drv_1" })],
    ["malformed JSON", 400, "/fleet/drivers", "admin", json("POST", '{"name":')],
    ["an empty body", 400, "/fleet/drivers", "admin", json("POST", "")],
    ["an array", 400, "/fleet/drivers", "admin", json("POST", [])],
    ["null", 400, "/fleet/drivers", "admin", json("POST", "null")],
    ["a number", 400, "/fleet/drivers", "admin", json("POST", "1")],
    ["wrong types", 400, "/fleet/drivers", "admin", json("POST", { name: 1, licence: null })],
    [
      "unknown members",
      400,
      "/fleet/drivers",
      "admin",
      json("POST", { name: "A", licence: "SE-CE-1", admin: 1 }),
    ],
    ["another company", 400, "/fleet/drivers/drv_1", "admin", json("PATCH", { company: "borealis-freight" })],
    [
      "__proto__",
      400,
      "/fleet/drivers",
      "admin",
      json("POST", '{"name":"A","licence":"SE-CE-1","__proto__":{}}'),
    ],
    ["bytes that are not UTF-8", 400, "/fleet/drivers", "admin", bytes(0x22, 0xff, 0x22)],
    ["a body of 16 KiB", 400, "/fleet/drivers", "admin", json("POST", `"${"x".repeat(16_382)}"`)],
    [
      "a body of 16 KiB and one byte",
      413,
      "/fleet/drivers",
      "admin",
      json("POST", `"${"x".repeat(16_383)}"`),
    ],
    ["plain text", 415, "/fleet/drivers", "admin", typed("text/plain", "{}")],
    ["a form", 415, "/fleet/drivers", "admin", typed("application/x-www-form-urlencoded", "name=A")],
    [
      "a missing content type",
      415,
      "/fleet/drivers",
      "admin",
      { method: "POST", body: new Uint8Array([123, 125]) },
    ],
    ["a missing body", 415, "/fleet/drivers", "admin", { method: "POST" }],
    [
      "gzip",
      415,
      "/fleet/drivers",
      "admin",
      {
        ...typed("application/json", "{}"),
        headers: { "Content-Type": "application/json", "Content-Encoding": "gzip" },
      },
    ],
  ];

  it.each(REQUESTS)("send the same response: %s (%i)", async (_name, status, path, who, init) => {
    const secret = who === undefined ? undefined : (secrets[who] ?? "ezt_live_notAKey");
    const replies = new Map<Framework, [number, string]>();
    for (const [framework, fleet] of fleets) {
      const reply = await send(fleet, path, secret, init);
      replies.set(framework, [reply.status, reply.text]);
    }
    const first = replies.get("express");
    expect(first?.[0]).toBe(status);
    for (const [framework, reply] of replies)
      expect([framework, ...reply]).toEqual([framework, ...(first ?? [])]);
  });

  it("name every invalid member of a body", async () => {
    for (const fleet of fleets.values()) {
      const body = { name: "", licence: "x", admin: true };
      const { text } = await send(fleet, "/fleet/drivers", secrets.admin, json("POST", body));
      expect(JSON.parse(text)).toEqual({
        message:
          "name must not be empty; licence must be 5 to 20 capital letters, digits and dashes; " +
          "admin is not a known member.",
        code: "invalid_body",
        requestId: "req-of-the-test",
        problems: [
          { path: "name", message: "must not be empty" },
          { path: "licence", message: "must be 5 to 20 capital letters, digits and dashes" },
          { path: "admin", message: "is not a known member" },
        ],
      });
    }
  });
});

describe("scopes", () => {
  it("imply other scopes", () => {
    expect(scopes.holds(["drivers:write"], "drivers:read")).toBe(true);
    expect(scopes.holds(["drivers:read"], "drivers:write")).toBe(false);
    expect(scopes.holds(["fleet:admin"], "inspections:read")).toBe(true);
  });

  it("cannot be granted while they are planned", async () => {
    const fleet = await start("express", 0, { data: freshFile() });
    try {
      await expect(key(fleet, ["reports:read"])).rejects.toThrow(/scopes/);
      expect(scopes.holds(["fleet:admin"], "reports:read")).toBe(false);
    } finally {
      await fleet.close();
    }
  });
});

describe("the report of the demo", () => {
  const denial: DemoResponse = {
    status: 401,
    challenge: 'Bearer realm="fleet"',
    body: { code: "invalid_key" },
  };
  const expected: Expected = { status: 401, code: "invalid_key", challenge: "Bearer" };
  const passes = (response: DemoResponse, wanted: Expected) =>
    checkResponse(response, wanted).every(({ passed }) => passed);

  it("passes an expected response", () => {
    expect(passes(denial, expected)).toBe(true);
    const conditions = { "it has a name": ({ name }: { name?: string }) => name === "A" };
    expect(passes({ status: 200, challenge: null, body: { name: "A" } }, { status: 200, conditions })).toBe(
      true,
    );
  });

  it.each<[string, DemoResponse, Expected]>([
    ["another status", { ...denial, status: 403 }, expected],
    ["another code", { ...denial, body: { code: "unavailable" } }, expected],
    ["a missing code", { ...denial, body: {} }, expected],
    ["an unexpected code", denial, { status: 401, challenge: "Bearer" }],
    ["a missing challenge", { ...denial, challenge: null }, expected],
    ["another challenge", { ...denial, challenge: "Basic" }, expected],
    ["an unexpected challenge", denial, { status: 401, code: "invalid_key" }],
    ["a condition that is not true", denial, { ...expected, conditions: { "never true": () => false } }],
    ["no response", { status: 0, challenge: null, body: { code: "ECONNREFUSED" } }, { status: 200 }],
  ])("detects %s", (_name, response, wanted) => {
    expect(passes(response, wanted)).toBe(false);
  });

  it("fails the scenario if a response is wrong", async () => {
    const clock = adjustableClock();
    const lines: string[] = [];
    const report = createReport((line) => lines.push(line), false);
    // A proxy that returns vehicles without a key.
    const proxy = createServer(async (req, res) => {
      const open = req.url === "/fleet/vehicles" && req.headers.authorization === undefined;
      const headers: Record<string, string> = {};
      if (req.headers.authorization) headers.Authorization = req.headers.authorization;
      const response = await fetch(real.url + req.url, {
        headers,
        method: req.method === "GET" ? "GET" : "POST",
      });
      res.writeHead(open ? 200 : response.status).end(open ? '{"vehicles":[]}' : await response.text());
    });
    let real = undefined as unknown as RunningFleet;
    const data = freshFile();
    proxy.listen(0, "127.0.0.1");
    await once(proxy, "listening");
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const open = async () => {
      real = await start("express", 0, { data, clock: clock.now });
      return { ...real, url };
    };
    const fleet = await runScenario({ open, clock, report });
    expect(report.summary()).toBe(false);
    expect(lines.join("\n")).toContain("✗ expected 401 missing_credential, received 200");
    await fleet.close();
    proxy.close();
  });

  it("prints no secret", () => {
    const lines: string[] = [];
    const report = createReport((line) => lines.push(line), true);
    const secret = `ezt_live_${"Ab3".repeat(12)}zz`;
    report.print(secret);
    report.step(`about ${secret}`);
    report.exchange({ path: `/${secret}`, secret }, { ...denial, body: { name: secret } }, []);
    expect(lines.join("\n")).not.toMatch(FULL_SECRET);
    const jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.c2ln-bmF0_dXJl";
    report.exchange({ path: "/", secret: jwt }, denial, []);
    expect(lines.join("\n")).not.toMatch(/eyJzdWIi|c2ln/);
    expect(lines[0]).toBe("ezt_live_Ab3A…");
  });

  it("prints bodies on one line, and cuts long ones", () => {
    expect(brief({ a: [1, 2] })).toBe('{"a":[1,2]}');
    expect(brief({ a: "x".repeat(200) })).toHaveLength(110);
  });
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function environment(variables: Record<string, string>): NodeJS.ProcessEnv {
  const { FRAMEWORK: _f, PORT: _p, DATA: _d, ...rest } = process.env;
  return { ...rest, ...variables };
}

function run(args: string[], variables: Record<string, string> = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { cwd: ROOT, env: environment(variables) };
    const child = execFile(process.execPath, [...DEMO, ...args], options, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr }),
    );
  });
}

describe("npm run demo", () => {
  it.each(FRAMEWORKS)("-- --once passes in %s, twice on one file", async (framework) => {
    const DATA = freshFile();
    for (const round of [1, 2]) {
      const { code, stdout, stderr } = await run(["--once"], { FRAMEWORK: framework, DATA });
      expect({ round, code, stderr }).toEqual({ round, code: 0, stderr: "" });
      expect(stdout).toContain(`The fleet API in ${framework}, at http://127.0.0.1:`);
      expect(stdout).toContain("checks: all passed.");
      expect(stdout).not.toContain("✗");
      expect(stdout).not.toContain("\u001b[");
      expect(stdout).not.toMatch(FULL_SECRET);
      expect(stdout).not.toContain("curl");
    }
  });

  it("prints help, and rejects unknown arguments and variables", async () => {
    const DATA = freshFile();
    const help = await run(["--help"], { DATA });
    expect(help.code).toBe(0);
    expect(help.stdout).toContain("--once");
    const cases: [string[], Record<string, string>, string][] = [
      [["--twice"], {}, "--twice"],
      [["now"], {}, "now"],
      [["--once"], { FRAMEWORK: "rails" }, "express, koa, hono, fastify"],
      [["--once"], { FRAMEWORK: "toString" }, "express, koa, hono, fastify"],
      [["--once"], { PORT: "http" }, "PORT"],
      [["--once"], { PORT: "65536" }, "PORT"],
    ];
    for (const [args, variables, message] of cases) {
      const { code, stdout, stderr } = await run(args, { DATA, ...variables });
      expect([code, stdout]).toEqual([2, ""]);
      expect(stderr).toContain(message);
      expect(stderr).not.toContain("    at ");
    }
  });

  it("reports a port that is in use", { timeout: 120_000 }, async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    const { code, stderr } = await run(["--once"], { PORT: String(port), DATA: freshFile() });
    taken.close();
    expect(code).toBe(1);
    expect(stderr).toBe(
      `Port ${port} on 127.0.0.1 is in use. Set PORT to another port, or leave it unset.\n`,
    );
  });

  const curlIsHere = spawnSync("curl", ["--version"]).status === 0;
  it.skipIf(!curlIsHere).each(FRAMEWORKS)(
    "in %s serves its curl commands until it receives a signal (requires curl)",
    async (framework) => {
      const child = spawn(process.execPath, DEMO, {
        cwd: ROOT,
        env: environment({ FRAMEWORK: framework, DATA: freshFile() }),
        stdio: ["ignore", "pipe", "inherit"],
      });
      const stdout = await printed(child, "Ctrl-C stops the server.");
      const scenario = stdout.slice(0, stdout.indexOf("Try these commands"));
      expect(scenario).not.toMatch(FULL_SECRET);
      const lines = stdout.split("\n").filter((line) => line.startsWith("curl "));
      const statuses: (string | undefined)[] = [];
      for (const line of lines) {
        const { stdout } = await promisify(execFile)("sh", ["-c", `${line} -s`]);
        statuses.push(/^HTTP\/1\.1 (\d+)/.exec(stdout)?.[1]);
        expect(stdout).toMatch(/\r\n\r\n\{.*\}$/s);
      }
      expect(statuses).toEqual(["200", "403", "201"]);
      const ended = once(child, "exit");
      child.kill(framework === "koa" ? "SIGTERM" : "SIGINT");
      expect(await ended).toEqual([0, null]);
    },
  );
});

/** Returns what a process prints, up to and including `last`. Keeps reading, so that the process can print more. */
function printed(child: ChildProcess, last: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout?.on("data", (chunk) => {
      text += chunk;
      if (text.includes(last)) resolve(text);
    });
    child.once("exit", () => reject(new Error(`The process ended after printing ${text}`)));
  });
}
