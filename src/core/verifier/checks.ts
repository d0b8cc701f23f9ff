import type { DenialReason } from "../events.js";
import type { ParsedSecret } from "../keys/format.js";
import { keyStatus, type VerifiableRecord } from "../keys/record.js";
import { allows } from "../requests/allowlist.js";
import type { ClientIpResolver } from "../requests/client-ip.js";
import type { AuthRequest } from "../requests/request.js";

/**
 * Why a key does not work at this moment, in this environment; `undefined` when it does.
 *
 * The secret and its record must agree on the environment. A secret that names none takes the record's word,
 * and a key of which neither names one belongs to every environment.
 */
export function checkKey(
  record: VerifiableRecord,
  parsed: ParsedSecret,
  serves: (environment: string | undefined) => boolean,
  now: number,
): DenialReason | undefined {
  const status = keyStatus(record, now);
  if (status !== "active" && status !== "retiring") return status;
  const environment = record.environment ?? undefined;
  if (environment === undefined) return undefined;
  const agreed = parsed.environment === undefined ? serves(environment) : parsed.environment === environment;
  return agreed ? undefined : "environment_mismatch";
}

/** Why a key must not be used from where the request comes; `undefined` when it may. */
export function checkNetwork(
  record: Pick<VerifiableRecord, "ipAllowlist">,
  request: AuthRequest,
  clientIp: ClientIpResolver,
): DenialReason | undefined {
  const allowlist = record.ipAllowlist ?? undefined;
  if (allowlist === undefined) return undefined;
  const client = clientIp(request);
  if (client === undefined) return "ip_unknown";
  return allows(allowlist, client.ip) ? undefined : "ip_not_allowed";
}
