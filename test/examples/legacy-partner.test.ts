import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";
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
import { createClient, type RequestParts, type Send } from "./http.js";

const HEX32 = /^[0-9a-f]{32}$/;
const log: string[] = [];
let running: RunningExample;
let send: Send;
let url: string;
let admin: string;
let other: string;
let printed: MockInstance[];

beforeAll(async () => {
  running = await start({ port: 0, log: (line) => log.push(line) });
  const { adminJwt, otherJwt } = running.credentials as Record<string, string>;
  url = `${running.credentials.url}/api/v1`;
  send = createClient(url);
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
  (await send("GET", "/auth", { headers: { "X-Client-Key": clientKey } })).body.token;

/** Sends header lines unchanged. `fetch` joins lines of the same name. */
async function sendLines(method: string, path: string, lines: readonly string[]) {
  const sent = request(url + path, { method, headers: ["Host", "localhost", ...lines] }).end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return { status: response.statusCode, body: JSON.parse(await text(response)) };
}

describe("integrations", () => {
  it("creates an integration with the documented members and shows the ClientKey once", async () => {
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

  it("lists integrations by company, state and partner", async () => {
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

  it("allows one integration per partner and company until it is deleted", async () => {
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

  it("creates only one integration for concurrent requests", async () => {
    const json = { integrator: 4, allowedData: [6] };
    const replies = await Promise.all(
      [1, 2, 3].map(() => send("POST", "/Integration", { bearer: admin, json })),
    );
    expect(replies.map(({ status }) => status).sort()).toEqual([201, 409, 409]);
    await remove(admin, replies.find(({ status }) => status === 201)?.body);
  });

  it.each([
    ["no body", undefined],
    ["an unknown partner", { integrator: 8, allowedData: [6] }],
    ["a partner that is not a number", { integrator: "3", allowedData: [6] }],
    ["a partner that is not an integer", { integrator: 3.5, allowedData: [6] }],
    ["an unknown module", { integrator: 3, allowedData: [9] }],
    ["an empty array of modules", { integrator: 3, allowedData: [] }],
    ["a duplicate module", { integrator: 3, allowedData: [6, 6] }],
    ["modules that are not an array", { integrator: 3, allowedData: 6 }],
    ["a missing member", { integrator: 3 }],
    ["another company", { integrator: 3, allowedData: [6], companyId: 8 }],
    ["a ClientKey", { integrator: 3, allowedData: [6], clientKey: "0".repeat(32) }],
    ["an issuer", { integrator: 3, allowedData: [6], issuedBy: "<script>alert(1)</script>" }],
    ["__proto__", JSON.parse('{"integrator":3,"allowedData":[6],"__proto__":{"companyId":8}}')],
    ["an array", [3, [6]]],
    ["null", null],
  ])("rejects %s", async (_name, json) => {
    const { status, body } = await send("POST", "/Integration", {
      bearer: admin,
      raw: JSON.stringify(json) ?? "",
    });
    expect(status).toBe(400);
    expect(body).toMatchObject({ code: "invalid_request", requestId: expect.any(String) });
  });

  it("names the invalid members", async () => {
    const json = { integrator: 12, allowedData: [6, "x"], company: 8 };
    const { body } = await send("POST", "/Integration", { bearer: admin, json });
    expect(body.errors).toEqual(
      expect.arrayContaining([
        { path: "integrator", message: "must be an integer from 0 to 7" },
        { path: "allowedData[1]", message: "must be an integer from 6 to 8" },
        { path: "company", message: "is not a known member" },
      ]),
    );
  });

  it("requires the features of the company", async () => {
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

  it("changes only modules, by id or by partner", async () => {
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

  it("deactivates and reactivates an integration with the same ClientKey", async () => {
    const made = await integrate(admin, 7, [6]);
    const put = (json: unknown) => send("PUT", "/Integration", { bearer: admin, json });
    expect((await put({ id: made.id, active: false })).body.active).toBe(false);
    expect((await send("POST", "/auth", { json: { clientKey: made.clientKey } })).status).toBe(401);
    const second = await integrate(admin, 7, [6]);
    expect((await put({ id: made.id, active: true })).status).toBe(409);
    expect((await put({ integrator: 7, allowedData: [6] })).body.id).toBe(second.id);
    await remove(admin, second);
    expect((await put({ id: made.id, active: true })).body.active).toBe(true);
    expect(await tokenOf(made.clientKey)).toEqual(expect.any(String));
    await remove(admin, made);
  });

  it("deletes an integration only with its id and ClientKey, and only by its company", async () => {
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

describe("exchanging a ClientKey", () => {
  let made: { id: string; clientKey: string };
  beforeAll(async () => {
    made = await integrate(admin, 3, [6, 8]);
  });
  afterAll(async () => {
    await remove(admin, made);
  });

  it.each(["X-Client-Key", "x-client-key", "client_key"])(
    "accepts the header %s and returns only the token",
    async (name) => {
      const { status, headers, body } = await send("GET", "/auth", { headers: { [name]: made.clientKey } });
      expect(status).toBe(200);
      expect(headers.get("cache-control")).toBe("no-store");
      expect(body).toEqual({ userId: null, token: expect.stringMatching(/^eyJ/) });
      expect((await send("GET", "/assets", { bearer: body.token })).status).toBe(200);
    },
  );

  it("accepts every documented place of the ClientKey", async () => {
    const { clientKey } = made;
    const asBearer = await send("GET", "/auth", { bearer: clientKey });
    expect(asBearer.body).toEqual({ userId: null, token: expect.any(String) });
    const variants: RequestParts[] = [
      { json: { clientKey } },
      { bearer: clientKey },
      { headers: { "X-Client-Key": clientKey } },
      { headers: { client_key: clientKey } },
      { headers: { "X-Client-Key": clientKey }, json: {} },
      { headers: { client_key: clientKey }, form: { grant_type: "client_credentials" } },
      { form: { grant_type: "client_credentials", client_id: made.id, client_secret: clientKey } },
      { form: { grant_type: "client_credentials", client_secret: clientKey } },
      { form: { clientKey } },
      { json: { ClientKey: clientKey } },
      { json: { grant_type: "client_credentials", client_id: made.id, client_secret: clientKey } },
      { bearer: clientKey, form: { grant_type: "client_credentials" } },
    ];
    for (const variant of variants) {
      const { status, headers, body } = await send("POST", "/auth", variant);
      expect(status).toBe(200);
      expect(headers.get("cache-control")).toBe("no-store");
      expect(body).toEqual({
        access_token: expect.any(String),
        token_type: "Bearer",
        expires_in: 900,
        scope: "location-cargo hos",
        token: body.access_token,
        expiresIn: 900,
        userId: null,
      });
      expect((await send("GET", "/assets", { bearer: body.token })).status).toBe(200);
    }
  });

  it("narrows the scope of a token on request, and never widens it", async () => {
    const form = { grant_type: "client_credentials", client_secret: made.clientKey };
    const narrow = await send("POST", "/auth", { form: { ...form, scope: "hos" } });
    expect(narrow.body.scope).toBe("hos");
    expect((await send("GET", "/assets/location", { bearer: narrow.body.token })).status).toBe(403);
    const wide = await send("POST", "/auth", { form: { ...form, scope: "waste-management" } });
    expect(wide.status).toBe(403);
    expect(wide.body).toMatchObject({ error: "invalid_scope", code: "insufficient_scope" });
  });

  it.each<[string, RequestParts, number, string]>([
    ["an unknown ClientKey", { json: { clientKey: "0".repeat(32) } }, 401, "invalid_key"],
    ["a malformed ClientKey", { json: { clientKey: "x" } }, 401, "invalid_key"],
    ["a ClientKey with a line break", { json: { clientKey: "a\r\nX: y" } }, 401, "malformed_credential"],
    ["a request without a body", {}, 401, "missing_credential"],
    ["an empty object", { json: {} }, 401, "missing_credential"],
    ["an array", { json: [] }, 400, "invalid_request"],
    ["a number", { json: { clientKey: 1 } }, 400, "invalid_request"],
    ["invalid JSON", { raw: "{" }, 400, "invalid_request"],
    [
      "another grant type",
      { form: { grant_type: "password", client_secret: "x" } },
      400,
      "unsupported_grant_type",
    ],
  ])("rejects %s", async (_name, sent, status, code) => {
    const reply = await send("POST", "/auth", sent);
    expect(reply.status).toBe(status);
    expect(reply.body).toMatchObject({ code, message: expect.any(String), requestId: expect.any(String) });
    if (status === 401) expect(reply.body.error).toBe("invalid_client");
    expect(reply.headers.get("cache-control")).toBe("no-store");
  });

  it.each<[string, RequestParts, string]>([
    ["an unknown ClientKey", { headers: { "X-Client-Key": "0".repeat(32) } }, "invalid_key"],
    ["a malformed ClientKey", { headers: { client_key: "x" } }, "invalid_key"],
    ["two ClientKeys in one line", { headers: { "X-Client-Key": "a, b" } }, "malformed_credential"],
    ["a value with a scheme", { headers: { "X-Client-Key": "Bearer x" } }, "malformed_credential"],
    ["an empty value", { headers: { "X-Client-Key": "" } }, "malformed_credential"],
    ["a missing header", {}, "missing_credential"],
  ])("rejects %s in a header", async (_name, sent, code) => {
    for (const method of ["GET", "POST"]) {
      const reply = await send(method, "/auth", sent);
      expect(reply.status).toBe(401);
      expect(reply.headers.get("cache-control")).toBe("no-store");
      expect(reply.headers.get("www-authenticate")).toContain('Bearer realm="integration"');
      expect(reply.body).toEqual({
        error: "invalid_client",
        error_description: reply.body.message,
        code,
        message: expect.any(String),
        requestId: expect.any(String),
      });
    }
  });

  it("ignores a ClientKey in the query string", async () => {
    for (const name of ["clientKey", "client_key", "X-Client-Key", "access_token"]) {
      for (const method of ["GET", "POST"]) {
        const { status, body } = await send(method, `/auth?${name}=${made.clientKey}`);
        expect([name, status, body.code]).toEqual([name, 401, "missing_credential"]);
      }
    }
  });

  it("rejects a ClientKey that is sent twice", async () => {
    const { clientKey } = made;
    const lines = [
      ["Authorization", `Bearer ${clientKey}`],
      ["X-Client-Key", clientKey],
      ["client_key", clientKey],
      ["x-client-key", "x"],
    ] as const;
    for (const first of lines) {
      for (const second of lines) {
        for (const method of ["GET", "POST"]) {
          const { status, body } = await sendLines(method, "/auth", [...first, ...second]);
          expect([first, second, status, body.code]).toEqual([first, second, 400, "invalid_request"]);
        }
      }
      const headers = { [first[0]]: first[1] };
      for (const sent of [{ json: { clientKey } }, { form: { client_secret: clientKey } }]) {
        const { status, body } = await send("POST", "/auth", { headers, ...sent });
        expect([first, status, body.code]).toEqual([first, 400, "invalid_request"]);
      }
    }
    const json = { clientKey, client_secret: clientKey };
    expect((await send("POST", "/auth", { json })).status).toBe(400);
  });

  it("rejects a ClientKey as a token, and a token as a ClientKey", async () => {
    const token = await tokenOf(made.clientKey);
    expect((await send("GET", "/assets", { bearer: made.clientKey })).status).toBe(401);
    expect((await send("POST", "/auth", { json: { clientKey: token } })).status).toBe(401);
    expect((await send("GET", "/Integration", { bearer: token })).status).toBe(401);
    expect((await send("GET", "/Integration", { bearer: made.clientKey })).status).toBe(401);
    expect((await send("GET", "/assets", { bearer: admin })).status).toBe(401);
    expect((await send("GET", "/assets")).status).toBe(401);
    expect((await send("GET", "/Integration")).status).toBe(401);
  });
});

describe("data", () => {
  const PATHS: Record<string, number> = {
    "/assets": 6,
    "/assets?additionalInfo=true": 6,
    "/assets/location": 6,
    "/waste/jobs": 7,
    "/assets/driversTimers": 8,
    "/assets/currentWithTimers": 8,
  };
  const VINS: Record<number, readonly string[]> = {
    7: ["1FUJGLDR5CLBP8834", "3AKJHHDR7JSJV5521"],
    8: ["1M2AX04C5EM018877"],
  };
  const POSITION = {
    vin: "1FUJGLDR5CLBP8834",
    utcTimestamp: "2026-06-20T14:03:11Z",
    latitude: 41.8781,
    longitude: -87.6298,
  };
  const INFO = { name: "Truck 102", plateNumber: "IL-1234AB", trailers: "TR-55", odometer: 481233 };

  it.each([
    [() => admin, [6]],
    [() => admin, [8]],
    [() => admin, [6, 8]],
    [() => other, [7]],
    [() => other, [6, 7]],
  ] as const)("is readable with the modules of the integration (%#)", async (jwtOf, modules) => {
    const company = jwtOf() === admin ? 7 : 8;
    const made = await integrate(jwtOf(), 0, [...modules]);
    const bearer = await tokenOf(made.clientKey);
    for (const [path, module] of Object.entries(PATHS)) {
      expect((await send("GET", path)).status, path).toBe(401);
      const { status, body } = await send("GET", path, { bearer });
      expect(status, path).toBe((modules as readonly number[]).includes(module) ? 200 : 403);
      if (status === 200) {
        expect(body.length).toBeGreaterThan(0);
        for (const { vin } of body) expect(VINS[company]).toContain(vin);
      } else expect(body.code).toBe("insufficient_scope");
    }
    const posted = await send("POST", "/assets", { bearer, json: [] });
    expect(posted.status).toBe((modules as readonly number[]).includes(6) ? 200 : 403);
    await remove(jwtOf(), made);
    expect((await send("GET", "/assets", { bearer })).status).toBe(401);
  });

  it("lists its paths in the credentials", () => {
    const { dataPaths, tokenPath } = running.credentials as Record<string, unknown>;
    expect(tokenPath).toBe("/api/v1/auth");
    expect(dataPaths).toEqual({
      6: ["/api/v1/assets", "/api/v1/assets/location"],
      7: ["/api/v1/waste/jobs"],
      8: ["/api/v1/assets/driversTimers", "/api/v1/assets/currentWithTimers"],
    });
  });

  describe("assets", () => {
    let made: { id: string; clientKey: string };
    let bearer: string;
    beforeAll(async () => {
      made = await integrate(admin, 0, [6, 8]);
      bearer = await tokenOf(made.clientKey);
    });
    afterAll(async () => {
      await remove(admin, made);
    });

    it("returns positions, and more members with additionalInfo", async () => {
      const plain = await send("GET", "/assets", { bearer });
      expect(plain.body).toHaveLength(2);
      expect(plain.body[0]).toEqual(POSITION);
      expect((await send("GET", "/assets?additionalInfo=false", { bearer })).body).toEqual(plain.body);
      for (const query of ["additionalInfo=true", "additionalInfo=True"]) {
        const { body } = await send("GET", `/assets?${query}`, { bearer });
        expect(body[0]).toEqual({ ...POSITION, ...INFO });
      }
      for (const query of [
        "additionalInfo=yes",
        "additionalInfo=",
        "additionalInfo=true&additionalInfo=true",
      ]) {
        for (const [method, json] of [
          ["GET", undefined],
          ["POST", []],
        ] as const) {
          const { status, body } = await send(method, `/assets?${query}`, { bearer, json });
          expect([query, status, body.errors[0].path]).toEqual([query, 400, "additionalInfo"]);
        }
      }
    });

    it("returns the assets of the company among the VINs of a POST", async () => {
      const post = async (json: unknown, query = "") =>
        (await send("POST", `/assets${query}`, { bearer, json })).body;
      const { vin } = POSITION;
      expect(await post([vin])).toEqual([POSITION]);
      expect(await post([vin, vin, "unknown", ...(VINS[8] ?? [])])).toEqual([POSITION]);
      expect(await post([vin], "?additionalInfo=true")).toEqual([{ ...POSITION, ...INFO }]);
      expect(await post(VINS[8])).toEqual([]);
      expect(await post([])).toEqual([]);
      expect(await post(Array.from({ length: 1_000 }, () => vin))).toEqual([POSITION]);
    });

    it.each([
      ["no body", ""],
      ["invalid JSON", "["],
      ["an object", '{"vins":["1FUJGLDR5CLBP8834"]}'],
      ["a string", '"1FUJGLDR5CLBP8834"'],
      ["null", "null"],
      ["a number as VIN", "[1]"],
      ["null as VIN", "[null]"],
      ["an array as VIN", '[["1FUJGLDR5CLBP8834"]]'],
      ["too many VINs", JSON.stringify(Array.from({ length: 1_001 }, () => "1FUJGLDR5CLBP8834"))],
    ])("rejects %s", async (_name, raw) => {
      const { status, body } = await send("POST", "/assets", { bearer, raw });
      expect(status).toBe(400);
      expect(body).toMatchObject({ code: "invalid_request", requestId: expect.any(String) });
    });

    it("returns location breadcrumbs", async () => {
      const { body } = await send("GET", "/assets/location", { bearer });
      expect(body.length).toBeGreaterThan(2);
      for (const crumb of body) expect(Object.keys(crumb)).toEqual(Object.keys(POSITION));
      expect(body).toContainEqual(POSITION);
    });

    it.each(["/assets/driversTimers", "/assets/currentWithTimers"])(
      "returns drivers and remaining hours (%s)",
      async (path) => {
        expect((await send("GET", path, { bearer })).body).toEqual([
          {
            ...POSITION,
            ...INFO,
            ignition: true,
            engineHH: 5123.4,
            fuel: 68,
            driverName: "John",
            driverSurname: "Doe",
            rpm: 1450,
            statusAbbreviation: "ON",
            statusDesctiption: "On Duty",
            minsTillBreak: 45,
            minsTillDriving: 210,
            minsTillShift: 330,
            minsTillCycle: 1880,
            hosUtcTimestamp: "2026-06-20T14:02:55Z",
          },
        ]);
      },
    );
  });

  it("is denied when its module is removed, for existing tokens too", async () => {
    const made = await integrate(admin, 0, [6, 8]);
    const jwt = await tokenOf(made.clientKey);
    expect((await send("GET", "/assets/driversTimers", { bearer: jwt })).status).toBe(200);
    await send("PUT", "/Integration", { bearer: admin, json: { id: made.id, allowedData: [6] } });
    expect((await send("GET", "/assets/driversTimers", { bearer: jwt })).status).toBe(403);
    expect((await send("GET", "/assets", { bearer: jwt })).status).toBe(200);
    await remove(admin, made);
  });
});

describe("the API", () => {
  it.each([
    ["GET", "/nothing", 404, "not_found"],
    ["PATCH", "/Integration", 405, "method_not_allowed"],
    ["DELETE", "/auth", 405, "method_not_allowed"],
    ["POST", "/auth/healthCheck", 405, "method_not_allowed"],
    ["PUT", "/assets", 405, "method_not_allowed"],
    ["GET", "/assets/nothing", 404, "not_found"],
    ["POST", "/token", 404, "not_found"],
    ["GET", "/%ZZ", 404, "not_found"],
    ["DELETE", "/Integration/%ZZ", 404, "not_found"],
  ])("responds to %s %s with the common error body", async (method, path, status, code) => {
    const reply = await send(method, path, { bearer: admin });
    expect(reply.status).toBe(status);
    expect(reply.body).toEqual({ code, message: expect.any(String), requestId: expect.any(String) });
  });

  it("serves the health check without a credential", async () => {
    const response = await fetch(`${url}/auth/healthCheck`);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toMatch(/^text\/plain/);
    expect(await response.text()).toBe("ok");
  });

  it("rejects bodies that are too large or not JSON", async () => {
    const raw = JSON.stringify({ integrator: 3, allowedData: [6], more: "x".repeat(70_000) });
    expect((await send("POST", "/Integration", { bearer: admin, raw })).status).toBe(413);
    const headers = { "Content-Type": "text/plain" };
    expect((await send("POST", "/Integration", { bearer: admin, raw: "{}", headers })).status).toBe(415);
    expect((await send("POST", "/Integration", { bearer: admin, raw: "{" })).status).toBe(400);
  });

  it("logs every request and no secret", async () => {
    const made = await integrate(admin, 1, [6]);
    const token = await tokenOf(made.clientKey);
    await send("GET", `/assets/location?clientKey=${made.clientKey}`, { bearer: token });
    await send("DELETE", `/Integration/${made.id}?ClientKey=${made.clientKey}`, { bearer: admin });
    expect((await remove(admin, made)).status).toBe(200);
    await send("GET", `/auth?clientKey=${made.clientKey}`);
    expect(log).toContain("GET /api/v1/assets/location 200");
    expect(log).toContain("GET /api/v1/auth 200");
    expect(log).toContain(`DELETE /api/v1/Integration/${made.id} 200`);
    const written = log.join("\n");
    for (const secret of [made.clientKey, token, admin, "?", "lientKey"])
      expect(written).not.toContain(secret);
  });
});
