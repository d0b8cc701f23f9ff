import { checkMethods } from "../../internal/validate.js";
import { KeyInputError, KeyNotFoundError } from "../errors.js";
import { emit, lifecycleEvent } from "../events.js";
import { createAuditEntry } from "../keys/audit-entry.js";
import { type ApiKey, isPresent } from "../keys/record.js";
import type { Leak, LeakOptions, LeakResult } from "./change-options.js";
import { checkMembers, readActor, readId, readLabel, readLine } from "./input.js";
import type { PreparedManager } from "./options.js";
import type { Caller, RecordChange, Repository } from "./repository.js";
import { revokeKey } from "./revoke.js";
import { toManagedKey } from "./store-results.js";

const MEMBERS = ["source", "type", "url", "action", "descendants", "actor"];
const MAX_URL = 2_048;
// Newest entries of a key that are searched for an earlier report of the same place.
const MAX_SEARCHED = 1_000;

/** Implements {@link KeyManager.reportLeak}. */
export async function reportLeak(
  manager: PreparedManager<string>,
  repository: Repository,
  id: string,
  options: LeakOptions,
): Promise<LeakResult> {
  checkMembers("reportLeak", options, MEMBERS);
  checkMethods("reportLeak", "store", manager.store, ["appendAudit"]);
  const { action = "revoke", descendants = false } = options;
  if (action !== "revoke" && action !== "disable" && action !== "report") {
    throw new KeyInputError("action", 'must be "revoke", "disable" or "report"');
  }
  if (typeof descendants !== "boolean" || (descendants && action !== "revoke")) {
    throw new KeyInputError("descendants", 'must be true or false, and true only with the action "revoke"');
  }
  const leak: Leak = {
    source: readId("source", options.source),
    type: readLabel("type", options.type),
    url: isPresent(options.url) ? readLine("url", options.url, MAX_URL) : null,
  };
  const actor = readActor(options.actor);
  const caller: Caller = { actor, check: undefined, beforeCommit: undefined };

  let result: LeakResult | undefined;
  if (action === "report") {
    const record = await repository.read(id);
    if (record === undefined) throw new KeyNotFoundError();
    result = { key: toManagedKey(record, manager.now()), outcome: "recorded" };
  } else {
    let isChanged = false;
    const key = await repository.change(id, caller, (record, at) => {
      const change = action === "revoke" ? revocation(record, at, leak) : disabling(record, at, leak);
      isChanged = change !== undefined;
      return change;
    });
    const changed = action === "revoke" ? "revoked" : "disabled";
    result = { key, outcome: isChanged ? changed : "recorded" };
  }
  if (descendants) {
    const by = actor === null ? {} : { actor };
    await revokeKey(manager, repository, id, { ...by, descendants, reason: "leaked" });
  }
  if (result.outcome === "recorded" && (await isRecorded(repository, id, leak))) {
    return { ...result, outcome: "repeated" };
  }
  const { key, outcome } = result;
  const entry = createAuditEntry("leaked", key, manager.now(), actor, { leak, outcome });
  if (outcome === "recorded") await repository.append(entry);
  emit(manager.observers, lifecycleEvent(entry));
  return result;
}

type State = Pick<ApiKey, "revokedAt" | "disabledAt" | "disabledBy">;

function revocation({ revokedAt }: State, at: Date, leak: Leak): RecordChange | undefined {
  if (isPresent(revokedAt)) return undefined;
  const reason = "leaked";
  return {
    action: "revoked",
    change: { revokedAt: at, revokedReason: reason },
    details: { reason, leak },
  };
}

function disabling(
  { revokedAt, disabledAt, disabledBy }: State,
  at: Date,
  leak: Leak,
): RecordChange | undefined {
  if (isPresent(revokedAt) || (isPresent(disabledAt) && disabledBy !== "owner")) return undefined;
  const by = "operator"; // its owner must not enable it again
  return {
    action: "disabled",
    change: { disabledAt: disabledAt ?? at, disabledBy: by },
    details: { by, leak },
  };
}

/** Whether the trail of a key names this place already. */
async function isRecorded(repository: Repository, keyId: string, leak: Leak): Promise<boolean> {
  const { items } = await repository.auditTrail({ keyId, limit: MAX_SEARCHED });
  const place = JSON.stringify(leak);
  return items.some(({ details }) => {
    const { source, type, url } = (details.leak ?? {}) as Partial<Leak>;
    return JSON.stringify({ source, type, url }) === place;
  });
}
