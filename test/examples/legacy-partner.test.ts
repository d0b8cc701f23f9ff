import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  type MockInstance,
  vi,
} from "vitest";
import type { RunningExample } from "../../examples/example.js";
import { start } from "../../examples/legacy-partner/main.js";
import { clientOf, type Send, type Sent } from "./http.js";

const HEX32 = /^[0-9a-f]{32}$/;
const log: string[] = [];
let running: RunningExample;
let send: Send;
let admin: string;
let other: string;
let printed: MockInstance[];

beforeAll(async () => {
  running = await start({ port: 0, log: (line) => log.push(line) });
  const { adminJwt, otherJwt } = running.credentials as Record<string, string>;
  send = clientOf(`${running.credentials.url}/api/v1`);
  admin = adminJwt as string;
  other = otherJwt as string;
});
afterAll(() => running.close());
beforeEach(() => {
  printed = (["log", "warn", "error", "info"] as const).map((name) => vi.spyOn(console, name));
});
afterEach(() => {
  for (const spy of printed) expect(spy).not.toHaveBeenCalled();
  vi.restoreAllMocks();
});

async function integrate(jwt: string, integrator: number, allowedData: number[]) {
  const { status, body } = await send("POST", "/Integration", {
    bearer: jwt,
    json: { integrator, allowedData },
  });
  expect(status).toBe(201);
  return body as { id: string; clientKey: string };
}
const remove = (jwt: string, { id, clientKey }: { id: string; clientKey: string }) =>
  send("DELETE", `/Integration/${id}?clientKey=${clientKey}`, { bearer: jwt });
const tokenOf = async (clientKey: string): Promise<string> =>
  (await send("POST", "/token", { json: { clientKey } })).body.access_token;

describe("integrations", () => {
  it("are created with exactly the documented members, and their ClientKey is seen once", async () => {
    const created = await send("POST", "/Integration", {
      bearer: admin,
      json: { integrator: 3, allowedData: [6] },
    });
    expect(created.status).toBe(201);
    expect(created.headers.get("cache-control")).toBe("no-store");
    expect(created.body).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{24}$/),
      companyId: 7,
      integrator: 3,
      allowedData: [6],
      clientKey: expect.stringMatching(HEX32),
      utcIssuedOn: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      issuedBy: "admin@acme.example",
      active: true,
    });
    const listed = await send("GET", "/Integration?active=true", { bearer: admin });
    expect(listed.status).toBe(200);
    expect(listed.body).toEqual([
      { ...created.body, clientKey: `${created.body.clientKey.slice(0, 4)}${"*".repeat(28)}` },
    ]);
    expect(listed.text).not.toContain(created.body.clientKey);
    await remove(admin, created.body);
  });

  it("are listed by company, state and partner", async () => {
    const one = await integrate(admin, 0, [6]);
    const two = await integrate(admin, 1, [6, 8]);
    await remove(admin, two);
    const ids = async (query: string, jwt = admin) =>
      (await send("GET", `/Integration${query}`, { bearer: jwt })).body.map(({ id }: { id: string }) => id);
    expect(await ids("?active=true")).toEqual([one.id]);
    expect(await ids("?active=True&other=1")).toEqual([one.id]);
    expect(await ids("?active=false")).toContain(two.id);
    expect(await ids("")).toEqual(expect.arrayContaining([one.id, two.id]));
    expect(await ids("?active=true&integrator=1")).toEqual([]);
    expect(await ids("", other)).toEqual([]);
    for (const query of ["?active=yes", "?integrator=9", "?active=true&active=false"]) {
      expect((await send("GET", `/Integration${query}`, { bearer: admin })).status, query).toBe(400);
    }
    await remove(admin, one);
  });

  it("are one for each partner and company, until they are deleted", async () => {
    const first = await integrate(admin, 2, [6]);
    const again = await send("POST", "/Integration", {
      bearer: admin,
      json: { integrator: 2, allowedData: [6] },
    });
    expect(again.status).toBe(409);
    expect(again.body).toEqual({
      message: "The company has an integration with this partner.",
      code: "already_integrated",
      requestId: expect.any(String),
    });
    const elsewhere = await integrate(other, 2, [6]);
    const deleted = await remove(admin, first);
    expect(deleted.status).toBe(200);
    expect(deleted.body).toMatchObject({ id: first.id, active: false });
    const second = await integrate(admin, 2, [6]);
    expect(second.clientKey).not.toBe(first.clientKey);
    await remove(admin, second);
    await remove(other, elsewhere);
  });

  it("are made once by requests at the same time", async () => {
    const json = { integrator: 4, allowedData: [6] };
    const answers = await Promise.all(
      [1, 2, 3].map(() => send("POST", "/Integration", { bearer: admin, json })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409]);
    await remove(admin, answers.find(({ status }) => status === 201)?.body);
  });

  it.each([
    ["no body", undefined],
    ["an unknown partner", { integrator: 8, allowedData: [6] }],
    ["a partner that is no number", { integrator: "3", allowedData: [6] }],
    ["a broken partner", { integrator: 3.5, allowedData: [6] }],
    ["an unknown module", { integrator: 3, allowedData: [9] }],
    ["no modules", { integrator: 3, allowedData: [] }],
    ["a module twice", { integrator: 3, allowedData: [6, 6] }],
    ["modules that are no list", { integrator: 3, allowedData: 6 }],
    ["a member too few", { integrator: 3 }],
    ["another company", { integrator: 3, allowedData: [6], companyId: 8 }],
    ["a ClientKey of its own", { integrator: 3, allowedData: [6], clientKey: "0".repeat(32) }],
    ["another issuer", { integrator: 3, allowedData: [6], issuedBy: "<script>alert(1)</script>" }],
    ["__proto__", JSON.parse('{"integrator":3,"allowedData":[6],"__proto__":{"companyId":8}}')],
    ["a list", [3, [6]]],
    ["null", null],
  ])("are not made of %s", async (_name, json) => {
    const { status, body } = await send("POST", "/Integration", {
      bearer: admin,
      raw: JSON.stringify(json) ?? "",
    });
    expect(status).toBe(400);
    expect(body).toMatchObject({ code: "invalid_request", requestId: expect.any(String) });
  });

  it("name the members at fault", async () => {
    const json = { integrator: 12, allowedData: [6, "x"], company: 8 };
    const { body } = await send("POST", "/Integration", { bearer: admin, json });
    expect(body.errors).toEqual(
      expect.arrayContaining([
        { path: "integrator", message: "must be a whole number from 0 to 7" },
        { path: "allowedData[1]", message: "must be a whole number from 6 to 8" },
        { path: "company", message: "is not a known member" },
      ]),
    );
  });

  it("need the company's features", async () => {
    for (const [jwt, module] of [
      [admin, 7],
      [other, 8],
    ] as const) {
      const json = { integrator: 5, allowedData: [6, module] };
      const { status, body } = await send("POST", "/Integration", { bearer: jwt, json });
      expect(status).toBe(403);
      expect(body.code).toBe("feature_required");
    }
    await remove(other, await integrate(other, 5, [6, 7]));
    await remove(admin, await integrate(admin, 5, [6, 8]));
  });

  it("change their modules, by id or by partner, and nothing else", async () => {
    const made = await integrate(admin, 6, [6]);
    const put = (json: unknown, jwt = admin) => send("PUT", "/Integration", { bearer: jwt, json });
    const changed = await put({ id: made.id, allowedData: [6, 8] });
    expect(changed.status).toBe(200);
    expect(changed.body).toMatchObject({ id: made.id, companyId: 7, integrator: 6, allowedData: [6, 8] });
    expect(Object.keys(changed.body)).toHaveLength(8);
    expect((await put({ integrator: 6, allowedData: [8] })).body.allowedData).toEqual([8]);
    const whole = { ...changed.body, companyId: 8, issuedBy: "eve", allowedData: [6] };
    expect((await put(whole)).body).toMatchObject({ companyId: 7, issuedBy: "admin@acme.example" });
    expect((await put({ id: made.id, allowedData: [7] })).status).toBe(403);
    expect((await put({ id: made.id, integrator: 1, allowedData: [6] })).status).toBe(400);
    for (const json of [
      { allowedData: [6] },
      { id: made.id },
      { id: 1, allowedData: [6] },
      { id: made.id, hacked: 1 },
    ]) {
      expect((await put(json)).status, JSON.stringify(json)).toBe(400);
    }
    const foreign = await put({ id: made.id, allowedData: [6] }, other);
    const unknown = await put({ id: "f".repeat(24), allowedData: [6] }, other);
    expect(foreign.status).toBe(404);
    expect({ ...foreign.body, requestId: "" }).toEqual({ ...unknown.body, requestId: "" });
    await remove(admin, made);
  });

  it("rest, and go on with the same ClientKey", async () => {
    const made = await integrate(admin, 7, [6]);
    const put = (json: unknown) => send("PUT", "/Integration", { bearer: admin, json });
    expect((await put({ id: made.id, active: false })).body.active).toBe(false);
    expect((await send("POST", "/token", { json: { clientKey: made.clientKey } })).status).toBe(401);
    const second = await integrate(admin, 7, [6]);
    expect((await put({ id: made.id, active: true })).status).toBe(409);
    expect((await put({ integrator: 7, allowedData: [6] })).body.id).toBe(second.id);
    await remove(admin, second);
    expect((await put({ id: made.id, active: true })).body.active).toBe(true);
    expect(await tokenOf(made.clientKey)).toEqual(expect.any(String));
    await remove(admin, made);
  });

  it("are deleted with id and ClientKey together, by their company", async () => {
    const made = await integrate(admin, 3, [6]);
    const second = await integrate(admin, 4, [6]);
    const paths = [
      `/Integration/${made.id}`,
      `/Integration/${made.id}?clientKey=`,
      `/Integration/${made.id}?clientKey=${"0".repeat(32)}`,
      `/Integration/${made.id}?clientKey=${second.clientKey}`,
      `/Integration/${made.id}?clientKey=${made.clientKey}&clientKey=${made.clientKey}`,
      `/Integration/${made.id}?clientKey=${made.clientKey.slice(0, 4)}${"*".repeat(28)}`,
      `/Integration/${"f".repeat(24)}?clientKey=${made.clientKey}`,
    ];
    for (const path of paths) expect((await send("DELETE", path, { bearer: admin })).status, path).toBe(404);
    expect((await remove(other, made)).status).toBe(404);
    expect(await tokenOf(made.clientKey)).toEqual(expect.any(String));
    expect((await remove(admin, made)).status).toBe(200);
    expect((await remove(admin, made)).status).toBe(404);
    await remove(admin, second);
  });
});

describe("a ClientKey", () => {
  let made: { id: string; clientKey: string };
  beforeAll(async () => {
    made = await integrate(admin, 3, [6, 8]);
  });
  afterAll(async () => {
    await remove(admin, made);
  });

  it("is exchanged for a token, in each of the ways", async () => {
    const { clientKey } = made;
    const ways: Sent[] = [
      { json: { clientKey } },
      { bearer: clientKey },
      { form: { grant_type: "client_credentials", client_id: made.id, client_secret: clientKey } },
      { form: { grant_type: "client_credentials", client_secret: clientKey } },
      { form: { clientKey } },
      { json: { ClientKey: clientKey } },
      { json: { grant_type: "client_credentials", client_id: made.id, client_secret: clientKey } },
      { bearer: clientKey, form: { grant_type: "client_credentials" } },
    ];
    for (const way of ways) {
      const { status, headers, body } = await send("POST", "/token", way);
      expect(status).toBe(200);
      expect(headers.get("cache-control")).toBe("no-store");
      expect(body).toEqual({
        access_token: expect.any(String),
        token_type: "Bearer",
        expires_in: 900,
        scope: "location-cargo hos",
        token: body.access_token,
        expiresIn: 900,
      });
      expect((await send("GET", "/data/locations", { bearer: body.token })).status).toBe(200);
    }
  });

  it("narrows the scope of a token when it asks for that, and never widens it", async () => {
    const form = { grant_type: "client_credentials", client_secret: made.clientKey };
    const narrow = await send("POST", "/token", { form: { ...form, scope: "hos" } });
    expect(narrow.body.scope).toBe("hos");
    expect((await send("GET", "/data/cargo", { bearer: narrow.body.token })).status).toBe(403);
    const wide = await send("POST", "/token", { form: { ...form, scope: "waste-management" } });
    expect(wide.status).toBe(403);
    expect(wide.body).toMatchObject({ error: "invalid_scope", code: "insufficient_scope" });
  });

  it.each<[string, Sent, number, string]>([
    ["an unknown one", { json: { clientKey: "0".repeat(32) } }, 401, "invalid_key"],
    ["one that is none", { json: { clientKey: "x" } }, 401, "invalid_key"],
    ["one with a line break", { json: { clientKey: "a\r\nX: y" } }, 401, "malformed_credential"],
    ["nothing", {}, 401, "missing_credential"],
    ["an empty object", { json: {} }, 401, "missing_credential"],
    ["a list", { json: [] }, 400, "invalid_request"],
    ["a number", { json: { clientKey: 1 } }, 400, "invalid_request"],
    ["broken JSON", { raw: "{" }, 400, "invalid_request"],
    [
      "another grant",
      { form: { grant_type: "password", client_secret: "x" } },
      400,
      "unsupported_grant_type",
    ],
  ])("is not %s", async (_name, sent, status, code) => {
    const answer = await send("POST", "/token", sent);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({ code, message: expect.any(String), requestId: expect.any(String) });
    if (status === 401) expect(answer.body.error).toBe("invalid_client");
  });

  it("is sent once only", async () => {
    const { clientKey } = made;
    const { status } = await send("POST", "/token", { bearer: clientKey, json: { clientKey } });
    expect(status).toBe(400);
  });

  it("is no token, and a token is no ClientKey", async () => {
    const token = await tokenOf(made.clientKey);
    expect((await send("GET", "/data/locations", { bearer: made.clientKey })).status).toBe(401);
    expect((await send("POST", "/token", { json: { clientKey: token } })).status).toBe(401);
    expect((await send("GET", "/Integration", { bearer: token })).status).toBe(401);
    expect((await send("GET", "/Integration", { bearer: made.clientKey })).status).toBe(401);
    expect((await send("GET", "/data/locations", { bearer: admin })).status).toBe(401);
    expect((await send("GET", "/data/locations")).status).toBe(401);
    expect((await send("GET", "/Integration")).status).toBe(401);
  });
});

describe("data", () => {
  const PATHS: Record<string, number> = {
    "/data/locations": 6,
    "/data/cargo": 6,
    "/data/waste": 7,
    "/data/hos": 8,
  };

  it.each([
    [() => admin, [6]],
    [() => admin, [8]],
    [() => admin, [6, 8]],
    [() => other, [6, 7]],
  ] as const)("is read with the modules that an integration has (%#)", async (jwtOf, modules) => {
    const made = await integrate(jwtOf(), 0, [...modules]);
    const jwt = await tokenOf(made.clientKey);
    for (const [path, module] of Object.entries(PATHS)) {
      const { status, body } = await send("GET", path, { bearer: jwt });
      expect(status, path).toBe((modules as readonly number[]).includes(module) ? 200 : 403);
      if (status === 200) {
        expect(body.length).toBeGreaterThan(0);
        const company = jwtOf() === admin ? 7 : 8;
        expect(body.every(({ companyId }: { companyId: number }) => companyId === company)).toBe(true);
      } else expect(body.code).toBe("insufficient_scope");
    }
    await remove(jwtOf(), made);
    expect((await send("GET", "/data/locations", { bearer: jwt })).status).toBe(401);
  });

  it("is out of reach once its module is taken away, also for tokens from before", async () => {
    const made = await integrate(admin, 0, [6, 8]);
    const jwt = await tokenOf(made.clientKey);
    expect((await send("GET", "/data/hos", { bearer: jwt })).status).toBe(200);
    await send("PUT", "/Integration", { bearer: admin, json: { id: made.id, allowedData: [6] } });
    expect((await send("GET", "/data/hos", { bearer: jwt })).status).toBe(403);
    expect((await send("GET", "/data/locations", { bearer: jwt })).status).toBe(200);
    await remove(admin, made);
  });
});

describe("everything else", () => {
  it.each([
    ["GET", "/nothing", 404, "not_found"],
    ["PATCH", "/Integration", 405, "method_not_allowed"],
    ["GET", "/token", 405, "method_not_allowed"],
    ["GET", "/%ZZ", 404, "not_found"],
    ["DELETE", "/Integration/%ZZ", 404, "not_found"],
  ])("%s %s is refused in the same shape", async (method, path, status, code) => {
    const answer = await send(method, path, { bearer: admin });
    expect(answer.status).toBe(status);
    expect(answer.body).toEqual({ code, message: expect.any(String), requestId: expect.any(String) });
  });

  it("refuses bodies that are too large or no JSON", async () => {
    const raw = JSON.stringify({ integrator: 3, allowedData: [6], more: "x".repeat(70_000) });
    expect((await send("POST", "/Integration", { bearer: admin, raw })).status).toBe(413);
    const headers = { "Content-Type": "text/plain" };
    expect((await send("POST", "/Integration", { bearer: admin, raw: "{}", headers })).status).toBe(415);
    expect((await send("POST", "/Integration", { bearer: admin, raw: "{" })).status).toBe(400);
  });

  it("logs every request, and no secret", async () => {
    const made = await integrate(admin, 1, [6]);
    const token = await tokenOf(made.clientKey);
    await send("GET", `/data/cargo?clientKey=${made.clientKey}`, { bearer: token });
    await send("DELETE", `/Integration/${made.id}?ClientKey=${made.clientKey}`, { bearer: admin });
    expect((await remove(admin, made)).status).toBe(200);
    expect(log).toContain("GET /api/v1/data/cargo 200");
    expect(log).toContain(`DELETE /api/v1/Integration/${made.id} 200`);
    const written = log.join("\n");
    for (const secret of [made.clientKey, token, admin, "?", "lientKey"])
      expect(written).not.toContain(secret);
  });
});
