import { useEffect, useState } from "preact/hooks";
import type { MessageKey } from "../messages.js";
import type { PersonBody } from "../session-body.js";
import { type ApiError, api, type Entry, type Issued, type Key } from "./api.js";
import { EditDialog, overlapText, RevokeDialog, RotateDialog } from "./changes.js";
import { Dialog, ErrorNotice, nameOf, Status, useAction, When } from "./parts.js";
import { exactDate, listOf, shortDate, t } from "./texts.js";
import { Timeline } from "./timeline.js";

interface PanelProps {
  readonly shown: Key;
  readonly person: PersonBody;
  readonly onClose: () => void;
  readonly onChanged: (key: Key, message?: MessageKey) => void;
  readonly onConflict: (key: Key, error: ApiError) => void;
  readonly onIssued: (issued: Issued, old: Key) => void;
}

/** What a person may do with a key. The service checks it again. */
function permissionsOf(key: Key, person: PersonBody) {
  const held = new Set(person.scopes.filter(({ grantable }) => grantable).map(({ name }) => name));
  const mayGrant = key.scopes.every(
    (scope) => held.has(scope) || !person.scopes.some(({ name }) => name === scope),
  );
  const isLive = key.status !== "revoked";
  const isOwners = key.status === "disabled" && key.disabledBy === "owner";
  return {
    edit: isLive && mayGrant && key.status !== "suspended",
    rotate: mayGrant && key.status === "active",
    disable: key.status === "active" || key.status === "retiring",
    enable: isOwners && mayGrant,
    revoke: isLive,
  };
}

/** A key with everything about it, and what can be done with it. */
export function KeyPanel({ shown, person, onClose, onChanged, onConflict, onIssued }: PanelProps) {
  const [open, setOpen] = useState<"edit" | "rotate" | "revoke">();
  const { busy, error, run } = useAction();
  const may = permissionsOf(shown, person);
  const close = () => setOpen(undefined);
  const conflict = (failure: ApiError) => {
    close();
    onConflict(shown, failure);
  };
  const dialog = { shown, person, onClose: close, onConflict: conflict };
  const changed = (key: Key, message: MessageKey) => {
    close();
    onChanged(key, message);
  };
  return (
    <Dialog title={nameOf(shown)} kind="panel" onClose={onClose}>
      <div class="panel-body">
        <p class="row">
          <Status status={shown.status} />
          {shown.environment && <span class="tag">{shown.environment}</span>}
          <code class="dim">{shown.start}…</code>
        </p>
        <div class="actions">
          {may.edit && (
            <button type="button" class="secondary" onClick={() => setOpen("edit")}>
              {t("edit")}
            </button>
          )}
          {may.rotate && (
            <button type="button" class="secondary" onClick={() => setOpen("rotate")}>
              {t("rotate")}
            </button>
          )}
          {may.disable && (
            <button
              type="button"
              class="secondary"
              disabled={busy}
              onClick={() => run(async () => changed(await api.disable(shown), "toastDisabled"))}
            >
              {t("disable")}
            </button>
          )}
          {may.enable && (
            <button
              type="button"
              class="secondary"
              disabled={busy}
              onClick={() => run(async () => changed(await api.enable(shown), "toastEnabled"))}
            >
              {t("enable")}
            </button>
          )}
          {may.revoke && (
            <button type="button" class="danger quiet" onClick={() => setOpen("revoke")}>
              {t("revoke")}
            </button>
          )}
        </div>
        <ErrorNotice error={error} />
        {shown.status === "disabled" && shown.disabledBy !== "owner" && (
          <p class="notice warn">{t("operatorDisabled")}</p>
        )}
        {overlapText(shown) !== undefined && shown.rotatedAt !== null && (
          <Timeline
            start={new Date(shown.rotatedAt).getTime()}
            end={new Date(shown.expiresAt ?? 0).getTime()}
          />
        )}
        <Facts shown={shown} />
        <History key={`${shown.id}${shown.updatedAt}`} shown={shown} />
      </div>
      {open === "edit" && <EditDialog {...dialog} onSaved={(key) => changed(key, "toastSaved")} />}
      {open === "rotate" && (
        <RotateDialog
          {...dialog}
          onRotated={(issued) => {
            close();
            onIssued(issued, shown);
          }}
        />
      )}
      {open === "revoke" && <RevokeDialog {...dialog} onRevoked={(key) => changed(key, "toastRevoked")} />}
    </Dialog>
  );
}

function Facts({ shown }: { readonly shown: Key }) {
  const { rateLimit, ipAllowlist } = shown;
  const networks = ipAllowlist === null ? t("anyNetwork") : listOf(ipAllowlist) || t("noNetwork");
  return (
    <section aria-label={t("details")}>
      <dl>
        <dt>{t("scopes")}</dt>
        <dd class="tags">
          {shown.scopes.map((scope) => (
            <code key={scope} class="tag">
              {scope}
            </code>
          ))}
        </dd>
        <dt>{t("networks")}</dt>
        <dd>{networks}</dd>
        <dt>{t("lastUsed")}</dt>
        <dd>
          <When date={shown.lastUsedAt} empty={t("neverUsed")} />
        </dd>
        <dt>{t("expires")}</dt>
        <dd>{shown.expiresAt === null ? t("never") : exactDate(shown.expiresAt)}</dd>
        {rateLimit !== null && (
          <>
            <dt>{t("limit")}</dt>
            <dd>{t("limitOf", { limit: rateLimit.limit, window: rateLimit.windowSeconds })}</dd>
          </>
        )}
        <dt>{t("created")}</dt>
        <dd>
          {shown.createdAt && shortDate(shown.createdAt)}{" "}
          {shown.createdBy !== null && <span class="dim">{t("by", { actor: shown.createdBy })}</span>}
        </dd>
        {shown.revokedReason && (
          <>
            <dt>{t("reason")}</dt>
            <dd>{reasonOf(shown.revokedReason)}</dd>
          </>
        )}
      </dl>
      {(shown.replacedBy || shown.replaces) && (
        <p class="row">
          {shown.replacedBy && <a href={`#key=${encodeURIComponent(shown.replacedBy)}`}>{t("showNew")}</a>}
          {shown.replaces && <a href={`#key=${encodeURIComponent(shown.replaces)}`}>{t("showOld")}</a>}
        </p>
      )}
    </section>
  );
}

const MEMBERS: Readonly<Record<string, MessageKey>> = {
  name: "memberName",
  ipAllowlist: "memberNetworks",
  expiresAt: "memberExpiry",
  rateLimit: "memberLimit",
  metadata: "memberMetadata",
};

/** Words an entry of the audit trail. */
function textOf({ action, details }: Entry): string {
  const members = Array.isArray(details.members) ? details.members.map(String) : [];
  const words = members.map((name) => (MEMBERS[name] ? t(MEMBERS[name]) : name));
  const texts: Readonly<Record<string, string>> = {
    created: t("actCreated"),
    imported: t("actImported"),
    updated: t("actUpdated", { members: listOf(words) }),
    disabled: t("actDisabled"),
    enabled: t("actEnabled"),
    revoked: t("actRevoked"),
    rotated: t("actRotated"),
    rehashed: t("actRehashed"),
    purged: t("actPurged"),
    leaked: t("actLeaked"),
    notified: t("actNotified"),
    used: t("actUsed"),
  };
  return texts[action] ?? action;
}

function reasonOf(reason: string): string {
  return reason === "leaked" ? t("leaked") : reason;
}

/** Where a scanner found the secret. Not a link, because others chose it. */
function placeOf({ details }: Entry): string {
  const { url, source } = (details.leak ?? {}) as { url?: string | null; source?: string };
  return url ?? source ?? "";
}

/** The audit trail of a key, newest first. */
function History({ shown }: { readonly shown: Key }) {
  const [entries, setEntries] = useState<readonly Entry[]>();
  const [next, setNext] = useState<string>();
  const { busy, error, run } = useAction();
  const load = (cursor?: string) =>
    run(async () => {
      const page = await api.history(shown, cursor);
      setEntries([...(cursor ? (entries ?? []) : []), ...page.items]);
      setNext(page.nextCursor);
    });
  useEffect(() => {
    load();
  }, [shown.id]);
  return (
    <section>
      <h3>{t("history")}</h3>
      <ErrorNotice error={error} onRetry={() => load()} />
      {busy && entries === undefined && <p class="dim">{t("loading")}</p>}
      <ol class="history">
        {entries?.map((entry) => (
          <li key={entry.id}>
            <span>
              {textOf(entry)}
              {typeof entry.details.reason === "string" &&
                ` ${t("because", { reason: reasonOf(entry.details.reason) })}`}
              {placeOf(entry) && ` ${t("foundAt", { place: placeOf(entry) })}`}
            </span>
            <span class="dim">
              <When date={entry.at} empty="" />{" "}
              {entry.actor === null ? t("bySystem") : t("by", { actor: entry.actor })}
            </span>
          </li>
        ))}
      </ol>
      {next !== undefined && (
        <button type="button" class="link" disabled={busy} onClick={() => load(next)}>
          {t("loadMore")}
        </button>
      )}
    </section>
  );
}
