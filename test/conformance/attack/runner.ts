import { UPSTREAMS } from "../../unit/adapters/fixtures.js";
import type { AppOptions, Setup } from "../../unit/adapters/frameworks.js";
import type { RawResponse } from "../../unit/adapters/raw.js";
import { type Attack, forwarded } from "./attack.js";
import { openTarget, type Target } from "./target.js";
import { apiBehind, brokenApi, brokenVerifier, verifierFor, type Watch } from "./world.js";

/** What observes a run. */
export interface Watching {
  readonly watch?: Watch;
  /** Wraps every verifier. */
  readonly around?: (verifier: AppOptions["verifier"]) => AppOptions["verifier"];
  readonly guard?: AppOptions["guard"];
  readonly log?: AppOptions["log"];
  readonly onResponse?: (response: RawResponse) => void;
}

/** Starts a framework behind each kind of proxy, and over a failing store. */
export async function openTargets(
  start: Setup["start"],
  {
    watch = {},
    around = (verifier) => verifier,
    guard = { onError: () => {} },
    log,
    onResponse,
  }: Watching = {},
): Promise<ReadonlyMap<string, Target>> {
  const targets = new Map<string, Target>();
  const services: readonly (readonly [string, AppOptions])[] = [
    ...UPSTREAMS.map((upstream): readonly [string, AppOptions] => {
      const verifier = verifierFor(upstream, watch);
      return [upstream, { verifier, mount: apiBehind(upstream, watch).handler }];
    }),
    ["broken", { verifier: brokenVerifier(watch), mount: brokenApi(watch).handler }],
  ];
  for (const [place, { verifier, mount }] of services) {
    const app = await start({ verifier: around(verifier), guard, mount, ...(log && { log }) });
    targets.set(place, openTarget(app, onResponse));
  }
  return targets;
}

/** Returns the targets of an attack, with the request for each: by default without a proxy and behind one. */
export function variantsOf(attack: Attack): readonly (readonly [string, Attack])[] {
  if (attack.broken) return [["broken", attack]];
  if (attack.behind) return [[attack.behind, attack]];
  const { bytesOf } = attack.traffic ?? {};
  const traffic = bytesOf && {
    ...attack.traffic,
    bytesOf: (index: number) => forwarded({ bytes: bytesOf(index) }).bytes as string,
  };
  return [
    ["none", attack],
    ["x-forwarded-for", { ...attack, request: forwarded(attack.request), ...(traffic && { traffic }) }],
  ];
}
