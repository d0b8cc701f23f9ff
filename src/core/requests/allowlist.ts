import { compileReadableCidrs } from "./cidr.js";
import type { CidrList, IpAddress } from "./ranges.js";

const compiled = new WeakMap<readonly string[], CidrList>();

/**
 * Whether an allowlist contains an address. An unknown address is never allowed.
 *
 * A frozen array is compiled once. An array that can still change is compiled on each call, so that a removed network
 * takes effect at once.
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
 * Whether `parent` allows every address that `child` allows: a key that is created with another key must not work from
 * more networks. An absent list, or `null`, allows every address.
 */
export function allowlistWithin(
  child: readonly string[] | null | undefined,
  parent: readonly string[] | null | undefined,
): boolean {
  if (!parent) return true;
  return child ? compileReadableCidrs(parent).covers(compileReadableCidrs(child)) : false;
}
