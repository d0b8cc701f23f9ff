import type { DenialReason } from "../events.js";
import type { ParsedSecret } from "../keys/format.js";
import { keyStatus, type VerifiableRecord } from "../keys/record.js";
import { allows } from "../requests/allowlist.js";
import type { ClientIpResolver } from "../requests/client-ip.js";
import type { AuthRequest } from "../requests/request.js";

/**
 * Returns why a key does not work at a time, in milliseconds since 1970, and in this environment; `undefined` if it
 * works. Secret and record must have the same environment. If the secret has none, the environment of the record must
 * be served. A key without any environment works everywhere.
 */
export function checkKey(
  record: VerifiableRecord,
  parsed: ParsedSecret,
  serves: (environment: string | undefined) => boolean,
  now: number,
): DenialReason | undefined {
  const status = keyStatus(record, now);
  if (status === "suspended") return "owner_suspended";
  if (status !== "active" && status !== "retiring") return status;
  const environment = record.environment ?? undefined;
  if (environment === undefined) return undefined;
  const agrees = parsed.environment === undefined ? serves(environment) : parsed.environment === environment;
  return agrees ? undefined : "environment_mismatch";
}

/** Returns why a key may not be used from the address of a request; `undefined` if it may. */
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
