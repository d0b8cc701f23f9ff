import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { Key } from "./api.js";
import { errorText, exactDate, relativeDate, t } from "./texts.js";

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly kind?: "panel" | "box";
  /** Whether Escape and the close button work. */
  readonly closable?: boolean;
  readonly children: ComponentChildren;
}

/** A modal dialog. The browser keeps the focus inside, and returns it when the dialog closes. */
export function Dialog({ title, onClose, kind = "box", closable = true, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const element = dialog.current as HTMLDialogElement;
    const opener = document.activeElement;
    element.showModal();
    return () => {
      element.close();
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={kind}
      aria-labelledby={heading}
      onKeyDown={(event) => {
        // Chromium closes a dialog on a second Escape even if its "cancel" event was prevented.
        if (event.key !== "Escape") return;
        event.preventDefault();
        event.stopPropagation();
        if (closable) onClose();
      }}
      onCancel={(event) => {
        event.preventDefault();
        if (closable) onClose();
      }}
    >
      <header class="dialog-head">
        <h2 id={heading} tabIndex={-1} autofocus={kind === "panel"}>
          {title}
        </h2>
        {closable && (
          <button type="button" class="icon" aria-label={t("close")} onClick={onClose}>
            <svg viewBox="0 0 16 16" aria-hidden="true">
              <path d="M4 4l8 8M12 4l-8 8" />
            </svg>
          </button>
        )}
      </header>
      {children}
    </dialog>
  );
}

/** Runs an action once at a time, and keeps its error. */
export function useAction(): {
  readonly busy: boolean;
  readonly error: unknown;
  readonly run: (action: () => Promise<void>) => Promise<void>;
} {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const run = async (action: () => Promise<void>) => {
    if (busy) return;
    setBusy(true);
    setError(undefined);
    try {
      await action();
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  };
  return { busy, error, run };
}

export function ErrorNotice({ error, onRetry }: { readonly error: unknown; readonly onRetry?: () => void }) {
  if (error === undefined) return null;
  return (
    <div class="notice bad" role="alert">
      <span>{errorText(error)}</span>
      {onRetry && (
        <button type="button" class="quiet" onClick={onRetry}>
          {t("retry")}
        </button>
      )}
    </div>
  );
}

export function nameOf({ name, start }: Pick<Key, "name" | "start">): string {
  return name || start || t("unnamed");
}

export function Status({ status }: Pick<Key, "status">) {
  return <span class={`badge ${status}`}>{t(status)}</span>;
}

/** A relative date; the exact one is its title. */
export function When({ date, empty }: { readonly date: string | null; readonly empty: string }) {
  if (date === null) return <span class="dim">{empty}</span>;
  return (
    <time dateTime={date} title={exactDate(date)}>
      {relativeDate(date)}
    </time>
  );
}

/** A button that copies a string and says so. */
export function CopyButton({ text, label }: { readonly text: string; readonly label?: string }) {
  const [result, setResult] = useState<"copied" | "copyFailed">();
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setResult("copied");
    } catch {
      setResult("copyFailed");
    }
    setTimeout(() => setResult(undefined), 2_500);
  };
  return (
    <button
      type="button"
      class="secondary copy"
      onClick={copy}
      aria-label={label && `${t("copy")}: ${label}`}
    >
      <span aria-live="polite">{t(result ?? "copy")}</span>
    </button>
  );
}
