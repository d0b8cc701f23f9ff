import { secrets } from "../../../unit/adapters/fixtures.js";
import { bearer, type Case, deny, lacks, pass } from "../case.js";

const { reader, writer, dispatcher, admin, scopeless, planned, undefinedScope } = secrets;

const route = (
  id: string,
  target: string,
  secret: string | undefined,
  expected: Case["expected"],
  method = "GET",
): Case => ({
  id,
  request: {
    method,
    target,
    headers: [
      ...(secret === undefined ? [] : [bearer(secret)]),
      ...(method === "GET" ? [] : ["Content-Length: 0"]),
    ],
  },
  expected,
});

/** Requirements of routes and scopes of keys. */
export const scopeCases: readonly Case[] = [
  // Report-only
  route("a missing report-only scope", "/report-only", reader, pass("reader")),
  route(
    "a missing scope and a missing report-only scope",
    "/report-only",
    dispatcher,
    lacks(["vehicles:read"], ["drivers:write"]),
  ),
  route("only a report-only scope", "/report-only-any", scopeless, pass("scopeless")),
  route(
    "only a report-only scope, without a credential",
    "/report-only-any",
    undefined,
    deny("missing_credential"),
  ),
  route("a report-only scope on an optional route", "/report-only-optional", undefined, pass(null)),

  // One scope
  route("the scope itself", "/vehicles", reader, pass("reader")),
  route("a scope that implies it", "/vehicles", writer, pass("writer")),
  route("a scope that implies everything", "/vehicles", admin, pass("admin")),
  route("another scope", "/vehicles", dispatcher, lacks(["vehicles:read"], ["drivers:write"])),
  route("no scope", "/vehicles", scopeless, lacks(["vehicles:read"], [])),
  route("undefined scopes", "/vehicles", undefinedScope, lacks(["vehicles:read"], [])),
  route(
    "reading does not imply writing",
    "/vehicles",
    reader,
    lacks(["vehicles:write"], ["vehicles:read"]),
    "PUT",
  ),
  route("writing, by PUT", "/vehicles", writer, pass("writer"), "PUT"),
  route("writing, by POST", "/drivers", dispatcher, pass("dispatcher"), "POST"),
  route(
    "another write scope, by POST",
    "/drivers",
    writer,
    lacks(["drivers:write"], ["vehicles:write"]),
    "POST",
  ),
  route("an array of one scope, by PATCH", "/vehicles", writer, pass("writer"), "PATCH"),
  route(
    "an array of one missing scope",
    "/vehicles",
    reader,
    lacks(["vehicles:write"], ["vehicles:read"]),
    "PATCH",
  ),
  route(
    "a route for admins needs the admin scope",
    "/admin",
    writer,
    lacks(["fleet:admin"], ["vehicles:write"]),
  ),
  route("the admin scope", "/admin", admin, pass("admin")),

  // All of an array
  route("all of an array, by implication", "/vehicles", admin, pass("admin"), "DELETE"),
  route(
    "only the first of an array",
    "/vehicles",
    writer,
    lacks(["vehicles:write", "drivers:write"], ["vehicles:write"], ["drivers:write"]),
    "DELETE",
  ),
  route(
    "only the last of an array",
    "/vehicles",
    dispatcher,
    lacks(["vehicles:write", "drivers:write"], ["drivers:write"], ["vehicles:write"]),
    "DELETE",
  ),
  route(
    "none of an array",
    "/vehicles",
    reader,
    lacks(["vehicles:write", "drivers:write"], ["vehicles:read"]),
    "DELETE",
  ),

  // anyOf
  route("anyOf: the first", "/any", writer, pass("writer")),
  route("anyOf: the last, by implication", "/any", dispatcher, pass("dispatcher")),
  route("anyOf: none", "/any", reader, lacks(["vehicles:write", "drivers:read"], ["vehicles:read"])),
  route("anyOf: a key without scopes", "/any", scopeless, lacks(["vehicles:write", "drivers:read"], [])),
  route("anyOf: undefined scopes", "/any", undefinedScope, lacks(["vehicles:write", "drivers:read"], [])),
  route("anyOf: no credential", "/any", undefined, deny("missing_credential")),

  // Planned scopes
  route(
    "a planned scope that is stored with the key",
    "/reports",
    planned,
    lacks(["reports:read"], ["reports:read", "drivers:read"]),
  ),
  route("a planned scope and the admin scope", "/reports", admin, lacks(["reports:read"], ["fleet:admin"])),
  route("a planned scope and an active one", "/any", planned, pass("planned")),

  // Any key
  route("any key, with a scope", "/me", reader, pass("reader")),
  route("any key, without scopes", "/me", scopeless, pass("scopeless")),
  route("any key, with undefined scopes", "/me", undefinedScope, pass("undefinedScope")),
  route("any key, revoked", "/me", secrets.revoked, deny("invalid_key")),
  route("any key, no credential", "/me", undefined, deny("missing_credential")),

  // Optional
  route("optional, without a key", "/optional", undefined, pass(null)),
  route("optional, with a key", "/optional", scopeless, pass("scopeless")),
  route("optional, with an unknown key", "/optional", secrets.unknown, deny("invalid_key")),
  route("optional, with a revoked key", "/optional", secrets.revoked, deny("invalid_key")),
  route("optional, with a test key", "/optional", secrets.testing, deny("wrong_environment")),
  route("optional, with junk", "/optional", "junk", deny("invalid_key")),
  route("optional, from another network", "/optional", secrets.office, deny("ip_not_allowed")),
  route("optional, over the limit", "/optional", secrets.exhausted, deny("rate_limited")),
  route("optional, without a token", "/optional", "", deny("malformed_credential")),
  {
    id: "optional, with another scheme",
    request: { target: "/optional", headers: ["Authorization: Basic dTpw"] },
    expected: pass(null),
  },
  {
    id: "optional, with two keys",
    request: { target: "/optional", headers: [bearer(reader), bearer(reader)] },
    expected: deny("malformed_credential"),
  },
  route("optional with a scope, without a key", "/optional-vehicles", undefined, pass(null)),
  route("optional with a scope, with the scope", "/optional-vehicles", reader, pass("reader")),
  route(
    "optional with a scope, without the scope",
    "/optional-vehicles",
    dispatcher,
    lacks(["vehicles:read"], ["drivers:write"]),
  ),
];
