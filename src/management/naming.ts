import { redactName } from "../internal/redact.js";

/**
 * How members are spelt on the wire: as in this package, with underscores, or by a function of the name that
 * this package uses, such as `ipAllowlist`.
 */
export type Naming = "camelCase" | "snake_case" | ((member: string) => string);

/** The name of a member on the wire. */
export type Spell = (member: string) => string;

/** Every member of a body, a query or an answer that a naming is asked for. */
const MEMBERS = [
  "id ownerId name start environment status scopes ipAllowlist rateLimit limit windowSeconds metadata",
  "createdAt updatedAt expiresAt lastUsedAt disabledAt revokedAt revokedReason rotatedAt replacedBy replaces",
  "secret key items nextCursor cursor reason overlap at action keyId actor details",
  "message code requestId errors path requiredScopes grantedScopes missingScopes",
].flatMap((line) => line.split(" "));

/**
 * Makes the spelling of a presenter.
 *
 * @throws TypeError for a naming that is none, or that gives two members one name.
 */
export function speller(where: string, naming: Naming = "camelCase"): Spell {
  if (naming === "camelCase") return (member) => member;
  if (naming === "snake_case") return snake;
  if (typeof naming !== "function") {
    throw new TypeError(`${where}: "naming" must be "camelCase", "snake_case" or a function`);
  }
  const names = new Map(MEMBERS.map((member) => [member, naming(member)]));
  for (const [member, name] of names) {
    if (typeof name !== "string" || !/^\w{1,64}$/.test(name) || name === "__proto__") {
      throw new TypeError(`${where}: "naming" must answer a name of letters, digits and _ for "${member}"`);
    }
  }
  if (new Set(names.values()).size < names.size) {
    throw new TypeError(`${where}: "naming" gives two members the same name`);
  }
  return (member) => names.get(member) ?? naming(member);
}

const snake: Spell = (member) => member.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** The members of an object under the names of the wire; what they hold stays. */
export function spelt(members: object, spell: Spell): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [spell(name), value]));
}

/** The path of a manager's error as the wire spells it. The names inside metadata are the client's own. */
export function speltPath(path: string, spell: Spell): string {
  const head = /^\w+/.exec(path)?.[0] ?? "";
  const rest = path.slice(head.length);
  return spell(head) + (head === "rateLimit" ? rest.replace(/\w+/g, spell) : rest);
}

/** The path of a member in a body, from the steps that lead there, and the name of an unknown one at its end. */
export function pathOf(steps: readonly PropertyKey[], unknown?: string): string {
  let path = "";
  const names = unknown === undefined ? steps : [...steps, redactName(unknown)];
  for (const step of names) {
    if (typeof step === "number") path += `[${step}]`;
    else path += `${path === "" ? "" : "."}${String(step)}`;
  }
  return path;
}
