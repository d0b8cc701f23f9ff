import { useEffect, useState } from "preact/hooks";
import type { PersonBody } from "../session-body.js";
import { ApiError, api, type Issued, type Key } from "./api.js";
import { ExpiryField, expiryChoices, expiryValue, isNetwork, NetworksField, readNetworks } from "./fields.js";
import { LimitField, readLimit } from "./limit.js";
import { Dialog, ErrorNotice, nameOf, useAction } from "./parts.js";
import { exactDate, shortDate, t } from "./texts.js";
import { Timeline } from "./timeline.js";

interface ChangeProps {
  readonly shown: Key;
  readonly onClose: () => void;
  /** Called if another request changed the key in between. */
  readonly onConflict: (error: ApiError) => void;
}

/** Runs a change when the form is submitted. Reports a conflict, and keeps any other error for the notice of the dialog. */
function useChange(change: () => Promise<void>, onConflict: ChangeProps["onConflict"]) {
  const { busy, error, run } = useAction();
  const submit = (event: Event) => {
    event.preventDefault();
    run(async () => {
      try {
        await change();
      } catch (failure) {
        const isConflict = failure instanceof ApiError && [404, 409, 412].includes(failure.status);
        if (!isConflict || failure.code === "key_limit") throw failure;
        onConflict(failure);
      }
    });
  };
  return { busy, error, submit };
}

interface FootProps {
  readonly label: string;
  readonly kind?: "primary" | "danger";
  readonly disabled: boolean;
  readonly onClose: () => void;
}

function Foot({ label, kind = "primary", disabled, onClose }: FootProps) {
  return (
    <footer class="dialog-foot">
      <button type="button" class="secondary" onClick={onClose}>
        {t("cancel")}
      </button>
      <button type="submit" class={kind} disabled={disabled}>
        {label}
      </button>
    </footer>
  );
}

interface EditProps extends ChangeProps {
  readonly person: PersonBody;
  readonly onSaved: (key: Key) => void;
}

export function EditDialog({ shown, person, onClose, onConflict, onSaved }: EditProps) {
  const [name, setName] = useState(shown.name ?? "");
  const [networks, setNetworks] = useState(shown.ipAllowlist?.join("\n") ?? "");
  const [expiry, setExpiry] = useState({ choice: "same", date: "" });
  const [limit, setLimit] = useState({
    requests: String(shown.rateLimit?.limit ?? ""),
    seconds: String(shown.rateLimit?.windowSeconds ?? 60),
  });
  const entries = readNetworks(networks);
  const had = shown.ipAllowlist?.join("\n") ?? "";
  const body = {
    ...(name.trim() !== (shown.name ?? "") && { name: name.trim() || null }),
    ...(entries.join("\n") !== had && { ipAllowlist: entries.length > 0 ? entries : null }),
    ...(expiry.choice !== "same" && { expiresAt: expiryValue(expiry, person.maxLifetime) }),
    ...(person.rateLimits &&
      JSON.stringify(readLimit(limit)) !== JSON.stringify(shown.rateLimit) && {
        rateLimit: readLimit(limit),
      }),
  };
  const { busy, error, submit } = useChange(async () => {
    onSaved(await api.update(shown, body));
  }, onConflict);
  const current = shown.expiresAt === null ? t("never") : shortDate(shown.expiresAt);
  return (
    <Dialog title={t("edit")} onClose={onClose}>
      <form class="form" onSubmit={submit}>
        <div class="field">
          <label for="edit-name">{t("name")}</label>
          <input
            id="edit-name"
            autofocus
            maxLength={255}
            autocomplete="off"
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </div>
        {shown.rotatedAt === null && (
          <ExpiryField
            value={expiry}
            choices={["same", ...expiryChoices(person.maxLifetime)]}
            labelOf={(choice) => (choice === "same" ? current : undefined)}
            onChange={setExpiry}
          />
        )}
        <NetworksField value={networks} address={person.clientIp} onChange={setNetworks} />
        {person.rateLimits && <LimitField value={limit} onChange={setLimit} />}
        <ErrorNotice error={error} />
        <Foot
          label={t(busy ? "saving" : "save")}
          disabled={busy || Object.keys(body).length === 0 || !entries.every(isNetwork)}
          onClose={onClose}
        />
      </form>
    </Dialog>
  );
}

const OVERLAPS = ["0s", "1h", "24h", "7d", "30d"] as const;
const HOUR = 3_600_000;
const LENGTHS: Readonly<Record<string, number>> = {
  "1h": HOUR,
  "24h": 24 * HOUR,
  "7d": 168 * HOUR,
  "30d": 720 * HOUR,
};

interface RotateProps extends ChangeProps {
  readonly onRotated: (issued: Issued) => void;
}

export function RotateDialog({ shown, onClose, onConflict, onRotated }: RotateProps) {
  const [overlap, setOverlap] = useState<string>("24h");
  const { busy, error, submit } = useChange(async () => {
    onRotated(await api.rotate(shown, { overlap }));
  }, onConflict);
  const label = (choice: string) => {
    const hours = (LENGTHS[choice] ?? 0) / HOUR;
    if (hours === 0) return t("noOverlap");
    return hours > 24 ? t("days", { n: hours / 24 }) : t("hours", { n: hours });
  };
  const end = Date.now() + (LENGTHS[overlap] ?? 0);
  const limit = shown.expiresAt === null ? end : Math.min(end, new Date(shown.expiresAt).getTime());
  return (
    <Dialog title={t("rotateTitle", { name: nameOf(shown) })} onClose={onClose}>
      <form class="form" onSubmit={submit}>
        <p>{t("rotateText")}</p>
        <div class="field">
          <label for="rotate-overlap">{t("overlap")}</label>
          <select
            id="rotate-overlap"
            autofocus
            value={overlap}
            onChange={(event) => setOverlap(event.currentTarget.value)}
          >
            {OVERLAPS.map((choice) => (
              <option key={choice} value={choice}>
                {label(choice)}
              </option>
            ))}
          </select>
        </div>
        <Timeline start={Date.now()} end={overlap === "0s" ? undefined : limit} />
        <ErrorNotice error={error} />
        <Foot label={t("rotate")} disabled={busy} onClose={onClose} />
      </form>
    </Dialog>
  );
}

interface RevokeProps extends ChangeProps {
  readonly onRevoked: (key: Key) => void;
}

export function RevokeDialog({ shown, onClose, onConflict, onRevoked }: RevokeProps) {
  const [typed, setTyped] = useState("");
  const [reason, setReason] = useState("");
  const [descendants, setDescendants] = useState(false);
  const [children, setChildren] = useState(0);
  const name = nameOf(shown);
  useEffect(() => {
    // The number is a hint: a failed request hides the choice until the dialog opens again.
    api.descendants(shown).then(
      ({ items }) => setChildren(items.filter(({ status }) => status !== "revoked").length),
      () => {},
    );
  }, [shown.id]);
  const { busy, error, submit } = useChange(async () => {
    onRevoked(await api.revoke(shown, { ...(reason && { reason }), ...(descendants && { descendants }) }));
  }, onConflict);
  return (
    <Dialog title={t("revokeTitle", { name })} onClose={onClose}>
      <form class="form" onSubmit={submit}>
        <p class="notice bad">{t("revokeText")}</p>
        <div class="field">
          <label for="revoke-name">{t("revokeConfirm", { name })}</label>
          <input
            id="revoke-name"
            autofocus
            autocomplete="off"
            spellcheck={false}
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </div>
        <div class="field">
          <label for="revoke-reason">{t("reason")}</label>
          <input
            id="revoke-reason"
            maxLength={255}
            autocomplete="off"
            value={reason}
            onInput={(event) => setReason(event.currentTarget.value)}
          />
        </div>
        {children > 0 && (
          <label class="check">
            <input type="checkbox" checked={descendants} onChange={() => setDescendants(!descendants)} />
            {t("descendants", { n: children })}
          </label>
        )}
        <ErrorNotice error={error} />
        <Foot
          label={t("revoke")}
          kind="danger"
          disabled={busy || typed.trim() !== name.trim()}
          onClose={onClose}
        />
      </form>
    </Dialog>
  );
}

/** Where a rotated key stands, for its panel. */
export function overlapText(key: Key): string | undefined {
  if (key.status !== "retiring" || key.expiresAt === null) return undefined;
  return t("timeline", { date: exactDate(key.expiresAt) });
}
