import type { IssuedKey } from "keybearer";
import {
  checkResponse,
  type DemoRequest,
  type Expected,
  type Report,
  type ResponseBody,
  sendRequest,
} from "./report.js";
import type { RunningFleet } from "./serve.js";
import type { FleetScope } from "./setup.js";

const ACME = "acme-haulage";
const BOREALIS = "borealis-freight";
const HOUR = 3_600_000;

/** Creates a clock that can be set ahead, so that the demo can show the end of an overlap. */
export function adjustableClock() {
  let ahead = 0;
  return {
    now: () => new Date(Date.now() + ahead),
    setAhead(milliseconds: number): void {
      ahead = milliseconds;
    },
  };
}

export interface ScenarioOptions {
  /** Starts the fleet API on a port, by default any free one. */
  readonly open: (port?: number) => Promise<RunningFleet>;
  /** The clock of the fleet API. */
  readonly clock: ReturnType<typeof adjustableClock>;
  readonly report: Report;
}

/** Creates a key that expires in a week. */
export function issue(
  { keys }: RunningFleet,
  name: string,
  ownerId: string,
  scopes: readonly FleetScope[],
  more: { readonly environment?: string; readonly ipAllowlist?: readonly string[] } = {},
): Promise<IssuedKey> {
  const expiresAt = new Date(Date.now() + 7 * 24 * HOUR);
  return keys.create({ ownerId, name, scopes, environment: "live", expiresAt, ...more }, { actor: "demo" });
}

/** Sends requests through the life cycle of keys and checks every response. Returns the fleet API, still running. */
export async function runScenario({ open, clock, report }: ScenarioOptions): Promise<RunningFleet> {
  let fleet = await open();
  const { step, note, print } = report;
  const expect = async (request: DemoRequest, expected: Expected): Promise<ResponseBody> => {
    const response = await sendRequest(fleet.url, request);
    report.exchange(request, response, checkResponse(response, expected));
    return response.body;
  };

  const dashboard = await issue(fleet, "Dashboard", ACME, ["vehicles:read"]);
  const partner = await issue(fleet, "Dashboard", BOREALIS, ["vehicles:read"]);
  const onboarding = await issue(fleet, "Onboarding", ACME, ["drivers:write"]);
  const admin = await issue(fleet, "Back office", ACME, ["fleet:admin"]);
  const office = await issue(fleet, "Office network", ACME, ["vehicles:read"], {
    ipAllowlist: ["203.0.113.0/24"],
  });
  const sandbox = await issue(fleet, "Sandbox", ACME, ["vehicles:read"], { environment: "test" });

  print();
  report.heading("Keys");
  for (const { key } of [dashboard, partner, onboarding, admin, office, sandbox]) {
    const networks = key.ipAllowlist ? ` from ${key.ipAllowlist.join(", ")}` : "";
    const columns = [key.start.padEnd(15), key.name?.padEnd(15), key.ownerId.padEnd(17)];
    print(`  ${columns.join(" ")} ${key.scopes.join(", ")}${networks}`);
  }

  const vehicles = { path: "/fleet/vehicles" };
  const onlyOf = (company: string) => ({
    [`only vehicles of ${company}`]: ({ vehicles = [] }: ResponseBody) =>
      vehicles.length > 0 && vehicles.every((vehicle) => vehicle.company === company),
  });
  const invalidKey = { status: 401, code: "invalid_key", challenge: 'error="invalid_token"' };

  step("A request without a key is denied");
  await expect(vehicles, { status: 401, code: "missing_credential", challenge: 'Bearer realm="fleet"' });

  step("An invalid key is denied without a lookup");
  await expect({ ...vehicles, secret: "ezt_live_thisIsNotAKey" }, invalidKey);

  step("A key reads the vehicles of its company");
  await expect({ ...vehicles, secret: dashboard.secret }, { status: 200, conditions: onlyOf(ACME) });

  step("A key of another company reads other vehicles");
  await expect({ ...vehicles, secret: partner.secret }, { status: 200, conditions: onlyOf(BOREALIS) });

  step("Any valid key can read its own details");
  await expect(
    { path: "/me", secret: dashboard.secret },
    {
      status: 200,
      conditions: {
        "it has its name": ({ name }) => name === "Dashboard",
        "it has neither hash nor allowlist": (body) => !("hash" in body || "ipAllowlist" in body),
      },
    },
  );

  step("A test key is denied in the live environment");
  await expect(
    { ...vehicles, secret: sandbox.secret },
    { status: 401, code: "wrong_environment", challenge: 'error="invalid_token"' },
  );

  const newDriver = { name: "Mia Lund", licence: "NL-CE-771204" };
  const addDriver = { method: "POST", path: "/fleet/drivers", body: newDriver } as const;

  step("A key without the scope is denied; the response names the missing scope");
  await expect(
    { ...addDriver, secret: dashboard.secret },
    {
      status: 403,
      code: "insufficient_scope",
      challenge: 'scope="drivers:write"',
      conditions: {
        "drivers:write is missing": ({ missingScopes }) => `${missingScopes}` === "drivers:write",
      },
    },
  );

  step("A key restricted to 203.0.113.0/24 is denied from this address");
  await expect({ ...vehicles, secret: office.secret }, { status: 403, code: "ip_not_allowed" });

  step("A key with drivers:write creates a driver");
  await expect(
    { ...addDriver, secret: onboarding.secret },
    {
      status: 201,
      conditions: { [`the driver belongs to ${ACME}`]: ({ company }) => company === ACME },
    },
  );

  step("The same key changes a driver");
  await expect(
    {
      method: "PATCH",
      path: "/fleet/drivers",
      secret: onboarding.secret,
      body: { id: "drv_2", status: "inactive" },
    },
    { status: 200, conditions: { "the driver is inactive": ({ status }) => status === "inactive" } },
  );

  step("drivers:write implies drivers:read");
  await expect(
    { path: "/fleet/drivers", secret: onboarding.secret },
    {
      status: 200,
      conditions: {
        "the new driver is listed": ({ drivers = [] }) => drivers.some(({ name }) => name === newDriver.name),
      },
    },
  );

  step("A body with three invalid members is rejected; the response names each");
  await expect(
    { ...addDriver, secret: onboarding.secret, body: { name: "", shoeSize: 44 } },
    {
      status: 400,
      code: "invalid_body",
      conditions: { "it has three problems": ({ problems }) => problems?.length === 3 },
    },
  );

  step("fleet:admin implies every other scope");
  await expect({ path: "/fleet/hos", secret: admin.secret }, { status: 200 });
  await expect({ path: "/fleet/inspections", secret: admin.secret }, { status: 200 });

  const adminJwt = await fleet.adminJwt(ACME);
  const keysRequest = { path: "/admin/api-keys", secret: adminJwt };

  step("An admin creates a key over HTTP with a JWT");
  const expiresAt = new Date(Date.now() + 7 * 24 * HOUR).toISOString();
  const { secret: created = "", key: { id } = { id: "" } } = await expect(
    {
      ...keysRequest,
      method: "POST",
      body: { name: "Telematics", scopes: ["vehicles:read"], environment: "live", expiresAt },
    },
    {
      status: 201,
      conditions: { "it has the secret": ({ secret }) => secret?.startsWith("ezt_live_") === true },
    },
  );
  const one = { ...keysRequest, path: `/admin/api-keys/${id}` };

  step("The new key is valid immediately");
  await expect({ ...vehicles, secret: created }, { status: 200, conditions: onlyOf(ACME) });

  step("The key is listed without its secret");
  await expect(
    { ...keysRequest, path: "/admin/api-keys?limit=2" },
    {
      status: 200,
      conditions: {
        "the key is listed": ({ items = [] }) => items.some((key) => key.id === id),
        "its secret is not": (body) => !JSON.stringify(body).includes(created || "ezt_live_"),
      },
    },
  );

  step("The admin of another company cannot read it");
  await expect({ ...one, secret: await fleet.adminJwt(BOREALIS) }, { status: 404, code: "not_found" });

  step("An API key cannot manage keys, even with fleet:admin");
  await expect({ ...keysRequest, secret: admin.secret }, invalidKey);

  step("The key is revoked over HTTP and stops working immediately");
  await expect(
    { ...one, method: "DELETE" },
    { status: 200, conditions: { "the key is revoked": ({ status }) => status === "revoked" } },
  );
  await expect({ ...vehicles, secret: created }, invalidKey);

  step("A key is rotated; for an hour, both secrets work");
  const renewed = await fleet.keys.rotate(dashboard.key.id, { overlap: "1h", actor: "demo" });
  await expect({ ...vehicles, secret: dashboard.secret }, { status: 200, conditions: onlyOf(ACME) });
  await expect({ ...vehicles, secret: renewed.secret }, { status: 200, conditions: onlyOf(ACME) });

  step("After the hour, only the new secret works");
  clock.setAhead(HOUR);
  note("the clock of the server is set ahead by an hour");
  await expect({ ...vehicles, secret: dashboard.secret }, invalidKey);
  await expect({ ...vehicles, secret: renewed.secret }, { status: 200, conditions: onlyOf(ACME) });
  clock.setAhead(0);
  note("the clock of the server is reset");

  step("A revoked key stops working immediately");
  await expect({ ...vehicles, secret: partner.secret }, { status: 200, conditions: onlyOf(BOREALIS) });
  await fleet.keys.revoke(partner.key.id, { reason: "contract ended", actor: "demo" });
  note("the key is revoked");
  await expect({ ...vehicles, secret: partner.secret }, invalidKey);

  step("Keys and revocations survive a restart");
  await fleet.close();
  note("the server is stopped and the database closed");
  fleet = await open(Number(new URL(fleet.url).port));
  note("the server is running again");
  await expect({ ...vehicles, secret: renewed.secret }, { status: 200, conditions: onlyOf(ACME) });
  await expect({ ...vehicles, secret: partner.secret }, invalidKey);
  await expect(
    { path: "/me", secret: admin.secret },
    {
      status: 200,
      conditions: {
        "it has the time of the last use": ({ lastUsedAt }) => typeof lastUsedAt === "string",
      },
    },
  );
  return fleet;
}
