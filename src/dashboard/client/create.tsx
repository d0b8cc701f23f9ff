import { useState } from "preact/hooks";
import type { PersonBody } from "../session-body.js";
import { api, type Issued } from "./api.js";
import {
  type Expiry,
  ExpiryField,
  expiryChoices,
  expiryValue,
  isNetwork,
  NetworksField,
  readNetworks,
  ScopesField,
} from "./fields.js";
import { LimitField, readLimit } from "./limit.js";
import { Dialog, ErrorNotice, useAction } from "./parts.js";
import { t } from "./texts.js";

interface CreateProps {
  readonly person: PersonBody;
  readonly onClose: () => void;
  readonly onCreated: (issued: Issued) => void;
}

/** What a link filled in: `?create&name=CI&scopes=a:read,b:read&environment=live&expires=30`. */
function prefilled({ defaults, environments, scopes, maxLifetime }: PersonBody) {
  const query = new URLSearchParams(location.search);
  const text = (name: string, member: string) => {
    const value = query.get(name) ?? defaults[member];
    return typeof value === "string" ? value : "";
  };
  const lists = (name: string, member: string) => {
    const value = query.get(name)?.split(",") ?? defaults[member];
    return (Array.isArray(value) ? value.filter((one) => typeof one === "string") : []) as string[];
  };
  const environment = text("environment", "environment");
  const choices = expiryChoices(maxLifetime);
  const expires = text("expires", "expiresAt");
  const expiry: Expiry = choices.includes(expires)
    ? { choice: expires, date: "" }
    : /^\d{4}-\d\d-\d\d/.test(expires)
      ? { choice: "date", date: expires.slice(0, 10) }
      : { choice: choices.includes("90") ? "90" : (choices[0] ?? "date"), date: "" };
  return {
    name: text("name", "name"),
    environment: environments.includes(environment) ? environment : (environments[0] ?? ""),
    scopes: lists("scopes", "scopes").filter((name) =>
      scopes.some((one) => one.name === name && one.grantable),
    ),
    networks: lists("networks", "ipAllowlist").join("\n"),
    expiry,
    limit: { requests: "", seconds: "60" },
  };
}

export function CreateDialog({ person, onClose, onCreated }: CreateProps) {
  const [form, setForm] = useState(() => prefilled(person));
  const [touched, setTouched] = useState(false);
  const { busy, error, run } = useAction();
  const set = (change: Partial<typeof form>) => setForm({ ...form, ...change });
  const networks = readNetworks(form.networks);
  const isValid = form.scopes.length > 0 && networks.every(isNetwork);

  const submit = (event: Event) => {
    event.preventDefault();
    setTouched(true);
    if (!isValid) return;
    run(async () => {
      const issued = await api.create({
        name: form.name.trim() || null,
        scopes: form.scopes,
        ...(form.environment !== "" && { environment: form.environment }),
        ipAllowlist: networks.length > 0 ? networks : null,
        expiresAt: expiryValue(form.expiry, person.maxLifetime),
        ...(person.rateLimits && { rateLimit: readLimit(form.limit) }),
      });
      onCreated(issued);
    });
  };

  return (
    <Dialog title={t("createTitle")} onClose={onClose}>
      <form onSubmit={submit} class="form">
        <div class="field">
          <label for="create-name">{t("name")}</label>
          <input
            id="create-name"
            autofocus
            maxLength={255}
            autocomplete="off"
            value={form.name}
            aria-describedby="create-name-hint"
            onInput={(event) => set({ name: event.currentTarget.value })}
          />
          <p id="create-name-hint" class="hint">
            {t("nameHint")}
          </p>
        </div>
        <div class="columns">
          {person.environments.length > 0 && (
            <div class="field">
              <label for="create-environment">{t("environment")}</label>
              <select
                id="create-environment"
                value={form.environment}
                onChange={(event) => set({ environment: event.currentTarget.value })}
              >
                {person.environments.map((name) => (
                  <option key={name}>{name}</option>
                ))}
              </select>
            </div>
          )}
          <ExpiryField
            value={form.expiry}
            choices={expiryChoices(person.maxLifetime)}
            onChange={(expiry) => set({ expiry })}
          />
        </div>
        <ScopesField
          person={person}
          value={form.scopes}
          onChange={(scopes) => set({ scopes: [...scopes] })}
        />
        {touched && form.scopes.length === 0 && (
          <p class="hint bad" role="alert">
            {t("selectScope")}
          </p>
        )}
        <NetworksField
          value={form.networks}
          address={person.clientIp}
          onChange={(text) => set({ networks: text })}
        />
        {person.rateLimits && <LimitField value={form.limit} onChange={(limit) => set({ limit })} />}
        <ErrorNotice error={error} />
        <footer class="dialog-foot">
          <button type="button" class="secondary" onClick={onClose}>
            {t("cancel")}
          </button>
          <button type="submit" class="primary" disabled={busy}>
            {t(busy ? "creating" : "create")}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}
