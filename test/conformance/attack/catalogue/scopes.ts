import { bearer, deny, lacks } from "../../../contract/guards/case.js";
import { secrets } from "../../../unit/adapters/fixtures.js";
import { attack, catalogue, type Draft } from "../attack.js";

const { reader, writer, dispatcher, scopeless, planned, undefinedScope, testing, revoked } = secrets;
const API5 = "OWASP API5:2023";
const API3 = "OWASP API3:2023";

const READ = ["vehicles:read"];
const WRITE = ["vehicles:write"];

const call = (
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
  // Routes that need more than the key holds
  call("an admin route with a reader key", API5, reader, ["GET", "/admin"], lacks(["fleet:admin"], READ)),
  call(
    "an admin route with a dispatcher key",
    API5,
    dispatcher,
    ["GET", "/admin"],
    lacks(["fleet:admin"], ["drivers:write"]),
  ),
  call(
    "an admin route with a key without scopes",
    API5,
    scopeless,
    ["GET", "/admin"],
    lacks(["fleet:admin"], []),
  ),
  call(
    "an admin route with a key with undefined scopes",
    API5,
    undefinedScope,
    ["GET", "/admin"],
    lacks(["fleet:admin"], []),
  ),
  call(
    "a write with a key with undefined scopes",
    API5,
    undefinedScope,
    ["PUT", "/vehicles"],
    lacks(WRITE, []),
  ),
  call(
    "an admin route with a key with a planned scope",
    API5,
    planned,
    ["GET", "/admin"],
    lacks(["fleet:admin"], ["reports:read", "drivers:read"]),
  ),
  call("reports with a key for vehicles", API5, writer, ["GET", "/reports"], lacks(["reports:read"], WRITE)),
  call(
    "HEAD of an admin route with a reader key",
    API5,
    reader,
    ["HEAD", "/admin"],
    lacks(["fleet:admin"], READ),
  ),

  // Scopes named by the client
  call("scopes in a header", API3, reader, ["GET", "/admin"], lacks(["fleet:admin"], READ), [
    "X-Scopes: fleet:admin",
    "X-OAuth-Scopes: fleet:admin",
  ]),
  call(
    "scopes in the query",
    API3,
    reader,
    ["GET", "/admin?scope=fleet:admin&scopes[]=fleet:admin"],
    lacks(["fleet:admin"], READ),
  ),
  call("scopes in a cookie", API3, reader, ["GET", "/admin"], lacks(["fleet:admin"], READ), [
    "Cookie: scope=fleet:admin; role=admin",
  ]),
  call(
    "scopes in the body",
    API3,
    reader,
    ["PUT", "/vehicles"],
    lacks(WRITE, READ),
    ["Content-Type: application/json"],
    '{"scopes":["vehicles:write"],"__proto__":{"scopes":["fleet:admin"]}}',
  ),
  call(
    "another owner in a header",
    "OWASP API1:2023",
    reader,
    ["GET", "/admin"],
    lacks(["fleet:admin"], READ),
    ["X-Owner-Id: admin", "X-Tenant: admin"],
  ),
  call(
    "a method override in headers and query",
    API5,
    reader,
    ["DELETE", "/vehicles?_method=GET"],
    lacks(["vehicles:write", "drivers:write"], READ),
    ["X-HTTP-Method-Override: GET", "X-Method-Override: GET"],
  ),
  call(
    "a method override in a form",
    API5,
    reader,
    ["PUT", "/vehicles"],
    lacks(WRITE, READ),
    ["Content-Type: application/x-www-form-urlencoded"],
    "_method=GET",
  ),

  // The order of the checks: the state of a key is checked before its scopes
  call("an admin route with a revoked key", API5, revoked, ["GET", "/admin"], deny("invalid_key")),
  call("an admin route with a test key", API5, testing, ["GET", "/admin"], deny("wrong_environment")),
  attack("an admin route without a key", API5, { target: "/admin" }, deny("missing_credential")),
  attack(
    "a POST without a key",
    API5,
    { method: "POST", target: "/drivers", headers: ["Content-Length: 0"] },
    deny("missing_credential"),
  ),
]);
