import { type CidrList, compileReadableCidrs, type IpAddress } from "./cidr.js";

const compiled = new WeakMap<readonly string[], CidrList>();

/**
 * Whether an allowlist lets an address through: absent, everybody; empty, nobody; an unknown address, never.
 *
 * A list is compiled once for as long as a store hands out the same frozen array. One that could still be
 * changed is compiled each time: a network taken out of it must be out.
 */
export function allows(allowlist: readonly string[], address: IpAddress | undefined): boolean {
  if (address === undefined) return false;
  let networks = compiled.get(allowlist);
  if (networks === undefined) {
    networks = compileReadableCidrs(allowlist);
    if (Object.isFrozen(allowlist)) compiled.set(allowlist, networks);
  }
  return networks.includes(address);
}

/**
 * Whether every address that `child` lets through is let through by `parent` too: a key that is made with another
 * one must not work from more networks than that. Absent (or `null`) lets everybody through.
 */
export function allowlistWithin(
  child: readonly string[] | null | undefined,
  parent: readonly string[] | null | undefined,
): boolean {
  if (!parent) return true;
  return child ? compileReadableCidrs(parent).covers(compileReadableCidrs(child)) : false;
}
