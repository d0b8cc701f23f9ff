/**
 * How members are named on the wire: as in this package, in snake_case, or by a function that is called with this
 * package's name of a member, such as `ipAllowlist`.
 */
export type Naming = "camelCase" | "snake_case" | ((member: string) => string);

/** Converts this package's name of a member to its name on the wire. */
export type ToWireName = (member: string) => string;

/** Every member of a body, a query or a response. */
const MEMBERS = [
  "id version ownerId name start environment status scopes ipAllowlist rateLimit limit windowSeconds metadata",
  "createdAt updatedAt expiresAt lastUsedAt disabledAt revokedAt revokedReason rotatedAt replacedBy replaces",
  "disabledBy suspendedAt createdBy createdByKey",
  "secret key items nextCursor damaged cursor search reason descendants overlap at action keyId actor details",
  "message code requestId errors path requiredScopes grantedScopes missingScopes",
].flatMap((line) => line.split(" "));

/** @throws TypeError if `naming` is invalid or gives two members the same name. */
export function createWireNames(where: string, naming: Naming = "camelCase"): ToWireName {
  if (naming === "camelCase") return (member) => member;
  if (naming === "snake_case") return toSnakeCase;
  if (typeof naming !== "function") {
    throw new TypeError(`${where}: "naming" must be "camelCase", "snake_case" or a function`);
  }
  const names = new Map(MEMBERS.map((member) => [member, naming(member)]));
  for (const [member, name] of names) {
    if (typeof name !== "string" || !/^\w{1,64}$/.test(name) || name === "__proto__") {
      throw new TypeError(`${where}: "naming" must return a name of letters, digits and _ for "${member}"`);
    }
  }
  if (new Set(names.values()).size < names.size) {
    throw new TypeError(`${where}: "naming" gives two members the same name`);
  }
  return (member) => names.get(member) ?? naming(member);
}

const toSnakeCase: ToWireName = (member) => member.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Renames the members of an object. Their values stay as they are. */
export function renameMembers(members: object, wireName: ToWireName): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [wireName(name), value]));
}

/** Converts the path of a manager's error. Names inside `metadata` are the client's own and stay. */
export function toWirePath(path: string, wireName: ToWireName): string {
  const head = /^\w+/.exec(path)?.[0] ?? "";
  const rest = path.slice(head.length);
  return wireName(head) + (head === "rateLimit" ? rest.replace(/\w+/g, wireName) : rest);
}
