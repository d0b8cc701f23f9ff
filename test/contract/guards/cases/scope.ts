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

/** What a route asks for, and what a key holds. */
export const scopeCases: readonly Case[] = [
  // On trial
  route("a scope on trial that is lacking", "/trial", reader, pass("reader")),
  route(
    "a scope on trial beside one that is lacking",
    "/trial",
    dispatcher,
    lacks(["vehicles:read"], ["drivers:write"]),
  ),
  route("only a scope on trial", "/trial-only", scopeless, pass("scopeless")),
  route("only a scope on trial, and no credential", "/trial-only", undefined, deny("missing_credential")),
  route("a scope on trial, and a credential that is optional", "/trial-optional", undefined, pass(null)),

  // One scope
  route("the scope itself", "/vehicles", reader, pass("reader")),
  route("a scope that implies it", "/vehicles", writer, pass("writer")),
  route("a scope that implies everything", "/vehicles", admin, pass("admin")),
  route("another scope", "/vehicles", dispatcher, lacks(["vehicles:read"], ["drivers:write"])),
  route("no scope", "/vehicles", scopeless, lacks(["vehicles:read"], [])),
  route("scopes that nobody defines", "/vehicles", undefinedScope, lacks(["vehicles:read"], [])),
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
    "writing of another kind, by POST",
    "/drivers",
    writer,
    lacks(["drivers:write"], ["vehicles:write"]),
    "POST",
  ),
  route("writing, by a list of one, by PATCH", "/vehicles", writer, pass("writer"), "PATCH"),
  route(
    "a list of one is lacking",
    "/vehicles",
    reader,
    lacks(["vehicles:write"], ["vehicles:read"]),
    "PATCH",
  ),
  route(
    "everything needs what implies everything",
    "/admin",
    writer,
    lacks(["fleet:admin"], ["vehicles:write"]),
  ),
  route("what implies everything is everything", "/admin", admin, pass("admin")),

  // All of a list
  route("all of a list, by implication", "/vehicles", admin, pass("admin"), "DELETE"),
  route(
    "the first of a list is not enough",
    "/vehicles",
    writer,
    lacks(["vehicles:write", "drivers:write"], ["vehicles:write"], ["drivers:write"]),
    "DELETE",
  ),
  route(
    "the last of a list is not enough",
    "/vehicles",
    dispatcher,
    lacks(["vehicles:write", "drivers:write"], ["drivers:write"], ["vehicles:write"]),
    "DELETE",
  ),
  route(
    "none of a list",
    "/vehicles",
    reader,
    lacks(["vehicles:write", "drivers:write"], ["vehicles:read"]),
    "DELETE",
  ),

  // Any of a list
  route("the first of any", "/any", writer, pass("writer")),
  route("the last of any, by implication", "/any", dispatcher, pass("dispatcher")),
  route("none of any", "/any", reader, lacks(["vehicles:write", "drivers:read"], ["vehicles:read"])),
  route("none of any, without scopes", "/any", scopeless, lacks(["vehicles:write", "drivers:read"], [])),
  route(
    "any, with scopes that nobody defines",
    "/any",
    undefinedScope,
    lacks(["vehicles:write", "drivers:read"], []),
  ),
  route("any, without a key", "/any", undefined, deny("missing_credential")),

  // A planned scope is held by nobody
  route(
    "planned, and stored with the key",
    "/reports",
    planned,
    lacks(["reports:read"], ["reports:read", "drivers:read"]),
  ),
  route("planned, and implied by everything", "/reports", admin, lacks(["reports:read"], ["fleet:admin"])),
  route("a planned scope beside a good one", "/any", planned, pass("planned")),

  // Any key
  route("any key, with a scope", "/me", reader, pass("reader")),
  route("any key, without scopes", "/me", scopeless, pass("scopeless")),
  route("any key, with undefined scopes", "/me", undefinedScope, pass("undefinedScope")),
  route("any key, revoked", "/me", secrets.revoked, deny("invalid_key")),
  route("any key, none", "/me", undefined, deny("missing_credential")),

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
    "optional with a scope, without it",
    "/optional-vehicles",
    dispatcher,
    lacks(["vehicles:read"], ["drivers:write"]),
  ),
];
