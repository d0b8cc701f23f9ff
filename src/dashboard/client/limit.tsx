import { t } from "./texts.js";

/** A rate limit in the form; no requests: no limit. */
export interface Limit {
  readonly requests: string;
  readonly seconds: string;
}

export function readLimit({ requests, seconds }: Limit): object | null {
  return requests === "" ? null : { limit: Number(requests), windowSeconds: Number(seconds || 60) };
}

interface LimitProps {
  readonly value: Limit;
  readonly onChange: (value: Limit) => void;
}

export function LimitField({ value, onChange }: LimitProps) {
  return (
    <fieldset class="field">
      <legend>{t("limit")}</legend>
      <div class="row">
        <input
          type="number"
          min={1}
          aria-label={t("requests")}
          placeholder={t("noLimit")}
          value={value.requests}
          onInput={(event) => onChange({ ...value, requests: event.currentTarget.value })}
        />
        <span class="dim">/</span>
        <input
          type="number"
          min={1}
          aria-label={t("seconds")}
          value={value.seconds}
          onInput={(event) => onChange({ ...value, seconds: event.currentTarget.value })}
        />
        <span class="dim">{t("seconds")}</span>
      </div>
    </fieldset>
  );
}
