import type { IssuedKey } from "keybearer";
import { type AnswerBody, ask, type Expected, judge, type Question, type Report } from "./report.js";
import type { RunningFleet } from "./serve.js";
import type { FleetScope } from "./setup.js";

const ACME = "acme-haulage";
const BOREALIS = "borealis-freight";
const HOUR = 3_600_000;

/** The system's clock, which can be set ahead: how an overlap ends within a demonstration. */
export function adjustableClock() {
  let ahead = 0;
  return {
    now: () => new Date(Date.now() + ahead),
    setAhead(milliseconds: number): void {
      ahead = milliseconds;
    },
  };
}

export interface WalkOptions {
  /** Starts the fleet API: at first on any port, and then again where it was. */
  readonly open: (port?: number) => Promise<RunningFleet>;
  /** The clock that the fleet API was given. */
  readonly clock: ReturnType<typeof adjustableClock>;
  readonly report: Report;
}

/** Issues a key that is good for a week, so that a demonstration leaves nothing behind for long. */
export function issue(
  { manager }: RunningFleet,
  name: string,
  ownerId: string,
  scopes: readonly FleetScope[],
  more: { readonly environment?: string; readonly ipAllowlist?: readonly string[] } = {},
): Promise<IssuedKey> {
  const expiresAt = new Date(Date.now() + 7 * 24 * HOUR);
  return manager.create({ ownerId, name, scopes, environment: "live", expiresAt, ...more }, "demo");
}

/** Goes through the life of keys with real requests. @returns the server, restarted once and still running. */
export async function walk({ open, clock, report }: WalkOptions): Promise<RunningFleet> {
  let fleet = await open();
  const { step, note, print } = report;
  const expect = async (question: Question, expected: Expected): Promise<AnswerBody> => {
    const answer = await ask(fleet.url, question);
    report.exchange(question, answer, judge(answer, expected));
    return answer.body;
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
  report.heading("Six keys for this walk");
  for (const { key } of [dashboard, partner, onboarding, admin, office, sandbox]) {
    const networks = key.ipAllowlist ? ` from ${key.ipAllowlist.join(", ")}` : "";
    const columns = [key.start.padEnd(15), key.name?.padEnd(15), key.ownerId.padEnd(17)];
    print(`  ${columns.join(" ")} ${key.scopes.join(", ")}${networks}`);
  }

  const vehicles = { path: "/fleet/vehicles" };
  const onlyOf = (company: string) => ({
    [`vehicles of ${company}, and no others`]: ({ vehicles = [] }: AnswerBody) =>
      vehicles.length > 0 && vehicles.every((vehicle) => vehicle.company === company),
  });
  const invalidKey = { status: 401, code: "invalid_key", challenge: 'error="invalid_token"' };

  step("Without a key nobody gets in");
  await expect(vehicles, { status: 401, code: "missing_credential", challenge: 'Bearer realm="fleet"' });

  step("A made-up key is refused without a look at the store");
  await expect({ ...vehicles, secret: "ezt_live_thisIsNotAKey" }, invalidKey);

  step("A key sees the vehicles of its own company");
  await expect({ ...vehicles, secret: dashboard.secret }, { status: 200, claims: onlyOf(ACME) });

  step("The key of another company sees other vehicles");
  await expect({ ...vehicles, secret: partner.secret }, { status: 200, claims: onlyOf(BOREALIS) });

  step("Any valid key may ask what it is");
  await expect(
    { path: "/me", secret: dashboard.secret },
    {
      status: 200,
      claims: {
        "it says its name": ({ name }) => name === "Dashboard",
        "it says neither its hash nor its networks": (body) => !("hash" in body || "ipAllowlist" in body),
      },
    },
  );

  step("A test key does not open the live API");
  await expect(
    { ...vehicles, secret: sandbox.secret },
    { status: 401, code: "wrong_environment", challenge: 'error="invalid_token"' },
  );

  const newDriver = { name: "Mia Lund", licence: "NL-CE-771204" };
  const addDriver = { method: "POST", path: "/fleet/drivers", body: newDriver } as const;

  step("A key without the scope is told which one it lacks");
  await expect(
    { ...addDriver, secret: dashboard.secret },
    {
      status: 403,
      code: "insufficient_scope",
      challenge: 'scope="drivers:write"',
      claims: { "drivers:write is missing": ({ missingScopes }) => `${missingScopes}` === "drivers:write" },
    },
  );

  step("A key for 203.0.113.0/24 does not work from here");
  await expect({ ...vehicles, secret: office.secret }, { status: 403, code: "ip_not_allowed" });

  step("With drivers:write a driver is added");
  await expect(
    { ...addDriver, secret: onboarding.secret },
    {
      status: 201,
      claims: { [`the driver belongs to ${ACME}`]: ({ company }) => company === ACME },
    },
  );

  step("The same scope lets a driver be changed");
  await expect(
    {
      method: "PATCH",
      path: "/fleet/drivers",
      secret: onboarding.secret,
      body: { id: "drv_2", status: "inactive" },
    },
    { status: 200, claims: { "the driver is inactive": ({ status }) => status === "inactive" } },
  );

  step("drivers:write brings drivers:read along");
  await expect(
    { path: "/fleet/drivers", secret: onboarding.secret },
    {
      status: 200,
      claims: {
        "the new driver is there": ({ drivers = [] }) => drivers.some(({ name }) => name === newDriver.name),
      },
    },
  );

  step("A body with mistakes is refused, and each mistake is named");
  await expect(
    { ...addDriver, secret: onboarding.secret, body: { name: "", shoeSize: 44 } },
    {
      status: 400,
      code: "invalid_body",
      claims: { "three problems are named": ({ problems }) => problems?.length === 3 },
    },
  );

  step("fleet:admin implies every other scope");
  await expect({ path: "/fleet/hos", secret: admin.secret }, { status: 200 });
  await expect({ path: "/fleet/inspections", secret: admin.secret }, { status: 200 });

  const adminJwt = await fleet.adminJwt(ACME);
  const keys = { path: "/admin/api-keys", secret: adminJwt };

  step("An admin creates a key over HTTP, with the JWT that he signed in with");
  const expiresAt = new Date(Date.now() + 7 * 24 * HOUR).toISOString();
  const { secret: created = "", key: { id } = { id: "" } } = await expect(
    {
      ...keys,
      method: "POST",
      body: { name: "Telematics", scopes: ["vehicles:read"], environment: "live", expiresAt },
    },
    {
      status: 201,
      claims: { "the secret is in the answer": ({ secret }) => secret?.startsWith("ezt_live_") === true },
    },
  );
  const one = { ...keys, path: `/admin/api-keys/${id}` };

  step("The new key works at once");
  await expect({ ...vehicles, secret: created }, { status: 200, claims: onlyOf(ACME) });

  step("It is listed, and never again with its secret");
  await expect(
    { ...keys, path: "/admin/api-keys?limit=2" },
    {
      status: 200,
      claims: {
        "the key is there": ({ items = [] }) => items.some((key) => key.id === id),
        "its secret is not": (body) => !JSON.stringify(body).includes(created || "ezt_live_"),
      },
    },
  );

  step("The admin of another company does not find it");
  await expect({ ...one, secret: await fleet.adminJwt(BOREALIS) }, { status: 404, code: "not_found" });

  step("No key manages keys, whatever its scopes");
  await expect({ ...keys, secret: admin.secret }, invalidKey);

  step("It is revoked over HTTP, and stops at once");
  await expect(
    { ...one, method: "DELETE" },
    { status: 200, claims: { "it is revoked": ({ status }) => status === "revoked" } },
  );
  await expect({ ...vehicles, secret: created }, invalidKey);

  step("A key is rotated: for an hour the old secret works beside the new one");
  const renewed = await fleet.manager.rotate(dashboard.key.id, { overlap: "1h", actor: "demo" });
  await expect({ ...vehicles, secret: dashboard.secret }, { status: 200, claims: onlyOf(ACME) });
  await expect({ ...vehicles, secret: renewed.secret }, { status: 200, claims: onlyOf(ACME) });

  step("When the hour is over, the new secret alone works");
  clock.setAhead(HOUR);
  note("the server's clock is now an hour ahead");
  await expect({ ...vehicles, secret: dashboard.secret }, invalidKey);
  await expect({ ...vehicles, secret: renewed.secret }, { status: 200, claims: onlyOf(ACME) });
  clock.setAhead(0);
  note("and right again");

  step("A key that is revoked stops at once");
  await expect({ ...vehicles, secret: partner.secret }, { status: 200, claims: onlyOf(BOREALIS) });
  await fleet.manager.revoke(partner.key.id, { reason: "contract ended", actor: "demo" });
  note("revoked");
  await expect({ ...vehicles, secret: partner.secret }, invalidKey);

  step("A restart changes nothing for keys");
  await fleet.close();
  note("the server is stopped and its database closed");
  fleet = await open(Number(new URL(fleet.url).port));
  note("both are up again");
  await expect({ ...vehicles, secret: renewed.secret }, { status: 200, claims: onlyOf(ACME) });
  await expect({ ...vehicles, secret: partner.secret }, invalidKey);
  await expect(
    { path: "/me", secret: admin.secret },
    {
      status: 200,
      claims: {
        "it is known when the key was last used": ({ lastUsedAt }) => typeof lastUsedAt === "string",
      },
    },
  );
  return fleet;
}
