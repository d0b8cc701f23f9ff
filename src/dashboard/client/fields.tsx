import { useId } from "preact/hooks";
import type { PersonBody, ScopeBody } from "../session-body.js";
import { listOf, t } from "./texts.js";

const DAY = 86_400_000;
const PRESET_DAYS = [30, 60, 90];

/** An expiry in the form: a number of days, a date, never, or the one that the key has. */
export type Expiry = { readonly choice: string; readonly date: string };

/** The choices of an expiry that the service allows. */
export function expiryChoices(maxLifetime: number | undefined): readonly string[] {
  const days = PRESET_DAYS.filter((number) => number * DAY <= (maxLifetime ?? Number.POSITIVE_INFINITY));
  const longest = maxLifetime === undefined ? [] : [Math.floor(maxLifetime / DAY)];
  const all = [...new Set([...days, ...longest])].filter((number) => number > 0).map(String);
  return [...all, "date", ...(maxLifetime === undefined ? ["never"] : [])];
}

/** Returns the member `expiresAt`. The service shortens "never" to the longest lifetime. */
export function expiryValue({ choice, date }: Expiry, maxLifetime: number | undefined): string | null {
  if (choice === "date") return new Date(`${date}T23:59:59`).toISOString();
  const length = Number(choice) * DAY;
  if (choice === "never" || length + DAY > (maxLifetime ?? Number.POSITIVE_INFINITY)) return null;
  return new Date(Date.now() + length).toISOString();
}

interface ExpiryProps {
  readonly value: Expiry;
  readonly choices: readonly string[];
  readonly labelOf?: (choice: string) => string | undefined;
  readonly onChange: (value: Expiry) => void;
}

export function ExpiryField({ value, choices, labelOf, onChange }: ExpiryProps) {
  const id = useId();
  const label = (choice: string) => {
    if (choice === "date") return t("onDate");
    if (choice === "never") return t("never");
    return labelOf?.(choice) ?? t("days", { n: Number(choice) });
  };
  const tomorrow = new Date(Date.now() + DAY).toISOString().slice(0, 10);
  return (
    <div class="field">
      <label for={id}>{t("expires")}</label>
      <div class="row">
        <select
          id={id}
          value={value.choice}
          onChange={(event) => onChange({ ...value, choice: event.currentTarget.value })}
        >
          {choices.map((choice) => (
            <option key={choice} value={choice}>
              {label(choice)}
            </option>
          ))}
        </select>
        {value.choice === "date" && (
          <input
            type="date"
            required
            aria-label={t("date")}
            min={tomorrow}
            value={value.date}
            onInput={(event) => onChange({ ...value, date: event.currentTarget.value })}
          />
        )}
      </div>
    </div>
  );
}

/** Splits the field of networks. */
export function readNetworks(text: string): readonly string[] {
  return text.split(/[\s,;]+/).filter((entry) => entry !== "");
}

/** Whether an entry looks like an address or a network. The service has the last word. */
export function isNetwork(entry: string): boolean {
  const [address = "", prefix, ...rest] = entry.split("/");
  const isV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/.test(address);
  const isV6 = address.includes(":") && URL.canParse(`http://[${address}]/`);
  const isPrefix = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (isV4 ? 32 : 128));
  return (isV4 || isV6) && isPrefix && rest.length === 0;
}

interface NetworksProps {
  readonly value: string;
  readonly address: string | undefined;
  readonly onChange: (value: string) => void;
}

export function NetworksField({ value, address, onChange }: NetworksProps) {
  const id = useId();
  const entries = readNetworks(value);
  const bad = entries.find((entry) => !isNetwork(entry));
  return (
    <div class="field">
      <label for={id}>{t("networks")}</label>
      <textarea
        id={id}
        rows={2}
        spellcheck={false}
        class="code"
        value={value}
        aria-invalid={bad !== undefined}
        aria-describedby={`${id}-hint`}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
      <p id={`${id}-hint`} class={bad === undefined ? "hint" : "hint bad"} aria-live="polite">
        {bad === undefined ? t("networksHint") : t("badNetwork", { value: bad })}
      </p>
      {address !== undefined && !entries.includes(address) && (
        <button type="button" class="link" onClick={() => onChange([...entries, address].join("\n"))}>
          {t("myAddress", { address })}
        </button>
      )}
    </div>
  );
}

interface ScopesProps {
  readonly person: PersonBody;
  readonly value: readonly string[];
  readonly onChange: (value: readonly string[]) => void;
}

/** The scopes with what each includes. A scope that another selected one includes is checked and fixed. */
export function ScopesField({ person, value, onChange }: ScopesProps) {
  const grantable = person.scopes.filter((scope) => scope.grantable);
  const included = new Set(
    person.scopes.filter(({ name }) => value.includes(name)).flatMap(({ implies }) => implies),
  );
  const namesOf = (scopes: readonly ScopeBody[]) => scopes.map(({ name }) => name);
  const readOnly = namesOf(grantable.filter(({ name }) => /(?:^|[:._-])read$/.test(name)));
  const presets = [
    ...(readOnly.length > 0 ? [{ name: t("readOnly"), scopes: readOnly }] : []),
    { name: t("all"), scopes: namesOf(grantable) },
    ...person.presets.filter(({ scopes }) => scopes.every((scope) => namesOf(grantable).includes(scope))),
    { name: t("none"), scopes: [] },
  ];
  const toggle = (name: string) =>
    onChange(value.includes(name) ? value.filter((one) => one !== name) : [...value, name]);
  return (
    <fieldset class="field">
      <legend>{t("scopes")}</legend>
      <p class="hint">{t("scopesHint")}</p>
      <div class="chips">
        {presets.map(({ name, scopes }) => (
          <button type="button" key={name} class="chip" onClick={() => onChange(scopes)}>
            {name}
          </button>
        ))}
      </div>
      <ul class="scopes">
        {person.scopes.map((scope) => (
          <ScopeRow
            key={scope.name}
            scope={scope}
            checked={value.includes(scope.name)}
            included={included.has(scope.name)}
            onToggle={() => toggle(scope.name)}
          />
        ))}
      </ul>
    </fieldset>
  );
}

interface ScopeRowProps {
  readonly scope: ScopeBody;
  readonly checked: boolean;
  readonly included: boolean;
  readonly onToggle: () => void;
}

function ScopeRow({ scope, checked, included, onToggle }: ScopeRowProps) {
  const { name, description, implies, planned, grantable } = scope;
  const isFixed = !grantable || (included && !checked);
  return (
    <li>
      <label class={grantable ? "scope" : "scope off"}>
        <input type="checkbox" checked={checked || included} disabled={isFixed} onChange={onToggle} />
        <span>
          <code>{name}</code>
          {planned && <span class="tag">{t("planned")}</span>}
          {description && <span class="about">{description}</span>}
          {!planned && !grantable && <span class="about">{t("notYours")}</span>}
          {implies.length > 0 && !planned && (
            <span class="about">{t("includes", { scopes: listOf(implies) })}</span>
          )}
        </span>
      </label>
    </li>
  );
}
