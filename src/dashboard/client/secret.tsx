import { useEffect, useState } from "preact/hooks";
import type { Issued } from "./api.js";
import { CopyButton, Dialog } from "./parts.js";
import { t } from "./texts.js";

/** Shows a secret until the person says that it is saved. Nothing else keeps it. */
export function SecretDialog({ issued, onClose }: { readonly issued: Issued; readonly onClose: () => void }) {
  const [saved, setSaved] = useState(false);
  const { secret } = issued;
  useEffect(() => {
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, []);
  const lines = [
    ["envLine", `export API_KEY=${secret}`],
    ["curlLine", `curl ${location.origin}/ -H 'Authorization: Bearer ${secret}'`],
  ] as const;
  return (
    <Dialog title={t("secretTitle")} onClose={onClose} closable={false}>
      <div class="form">
        <p class="notice warn">{t("secretText")}</p>
        <div class="secret">
          <code class="value">{secret}</code>
          <CopyButton text={secret} label={t("key")} />
        </div>
        {lines.map(([label, line]) => (
          <div class="field" key={label}>
            <span class="label">{t(label)}</span>
            <div class="secret small">
              <code class="value">{line}</code>
              <CopyButton text={line} label={t(label)} />
            </div>
          </div>
        ))}
        <footer class="dialog-foot">
          <label class="check">
            <input type="checkbox" checked={saved} onChange={() => setSaved(!saved)} />
            {t("saved")}
          </label>
          <button type="button" class="primary" disabled={!saved} onClick={onClose}>
            {t("done")}
          </button>
        </footer>
      </div>
    </Dialog>
  );
}
