import { bearer, deny, lacks } from "../../../contract/guards/case.js";
import { secrets } from "../../../unit/adapters/fixtures.js";
import { attack, catalogue, type Draft } from "../attack.js";

const { reader, writer, dispatcher, scopeless, planned, undefinedScope, testing, revoked } = secrets;
const API5 = "OWASP API5:2023";
const API3 = "OWASP API3:2023";

const READ = ["vehicles:read"];
const WRITE = ["vehicles:write"];

const ask = (
  title: string,
  source: string,
  secret: string,
  [method, target]: readonly [string, string],
  expected: Draft["expected"],
  headers: readonly string[] = [],
  body = "",
): Draft => {
  const length = method === "GET" || method === "HEAD" ? [] : [`Content-Length: ${body.length}`];
  return attack(
    title,
    source,
    { method, target, headers: [bearer(secret), ...length, ...headers], body },
    expected,
  );
};

export const scopeAttacks = catalogue("scopes", [
  // Asking for more than the key holds
  ask("a reader is an admin", API5, reader, ["GET", "/admin"], lacks(["fleet:admin"], READ)),
  ask(
    "a dispatcher is an admin",
    API5,
    dispatcher,
    ["GET", "/admin"],
    lacks(["fleet:admin"], ["drivers:write"]),
  ),
  ask("a key without scopes is an admin", API5, scopeless, ["GET", "/admin"], lacks(["fleet:admin"], [])),
  ask(
    "a key of undefined scopes is an admin",
    API5,
    undefinedScope,
    ["GET", "/admin"],
    lacks(["fleet:admin"], []),
  ),
  ask("a key of undefined scopes writes", API5, undefinedScope, ["PUT", "/vehicles"], lacks(WRITE, [])),
  ask(
    "a planned scope opens nothing beside it",
    API5,
    planned,
    ["GET", "/admin"],
    lacks(["fleet:admin"], ["reports:read", "drivers:read"]),
  ),
  ask(
    "a writer of vehicles reads reports",
    API5,
    writer,
    ["GET", "/reports"],
    lacks(["reports:read"], WRITE),
  ),
  ask(
    "HEAD of an admin route tells nothing either",
    API5,
    reader,
    ["HEAD", "/admin"],
    lacks(["fleet:admin"], READ),
  ),

  // Saying what the scopes are: nobody listens
  ask("X-Scopes", API3, reader, ["GET", "/admin"], lacks(["fleet:admin"], READ), [
    "X-Scopes: fleet:admin",
    "X-OAuth-Scopes: fleet:admin",
  ]),
  ask(
    "scope in the query",
    API3,
    reader,
    ["GET", "/admin?scope=fleet:admin&scopes[]=fleet:admin"],
    lacks(["fleet:admin"], READ),
  ),
  ask("scope in a cookie", API3, reader, ["GET", "/admin"], lacks(["fleet:admin"], READ), [
    "Cookie: scope=fleet:admin; role=admin",
  ]),
  ask(
    "scopes in the body",
    API3,
    reader,
    ["PUT", "/vehicles"],
    lacks(WRITE, READ),
    ["Content-Type: application/json"],
    '{"scopes":["vehicles:write"],"__proto__":{"scopes":["fleet:admin"]}}',
  ),
  ask(
    "an owner of one's own choice",
    "OWASP API1:2023",
    reader,
    ["GET", "/admin"],
    lacks(["fleet:admin"], READ),
    ["X-Owner-Id: admin", "X-Tenant: admin"],
  ),
  ask(
    "X-HTTP-Method-Override on a route of reading",
    API5,
    reader,
    ["DELETE", "/vehicles?_method=GET"],
    lacks(["vehicles:write", "drivers:write"], READ),
    ["X-HTTP-Method-Override: GET", "X-Method-Override: GET"],
  ),
  ask(
    "an override by a form",
    API5,
    reader,
    ["PUT", "/vehicles"],
    lacks(WRITE, READ),
    ["Content-Type: application/x-www-form-urlencoded"],
    "_method=GET",
  ),

  // The order of the checks: what is wrong with a key comes before what it lacks
  ask(
    "a revoked key learns nothing of an admin route",
    API5,
    revoked,
    ["GET", "/admin"],
    deny("invalid_key"),
  ),
  ask(
    "a test key learns nothing of an admin route",
    API5,
    testing,
    ["GET", "/admin"],
    deny("wrong_environment"),
  ),
  attack("nobody learns which scopes a route needs", API5, { target: "/admin" }, deny("missing_credential")),
  attack(
    "nobody learns it by OPTIONS either",
    API5,
    { method: "POST", target: "/drivers", headers: ["Content-Length: 0"] },
    deny("missing_credential"),
  ),
]);
