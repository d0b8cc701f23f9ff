import { ENGLISH, type MessageKey } from "../messages.js";
import type { MessageOverrides } from "../session-body.js";
import { ApiError } from "./api.js";
import { GERMAN } from "./german.js";

const SHIPPED: Readonly<Record<string, Readonly<Record<MessageKey, string>>>> = { en: ENGLISH, de: GERMAN };

let language = "en";
let texts: Readonly<Record<MessageKey, string>> = ENGLISH;

/** Selects the first language of the browser that has texts. */
export function setLanguage(overrides: MessageOverrides = {}): void {
  const known = [...Object.keys(SHIPPED), ...Object.keys(overrides)];
  const wanted = navigator.languages.flatMap((tag) => [tag, tag.split("-", 1)[0] as string]);
  language = wanted.find((tag) => known.includes(tag)) ?? "en";
  texts = { ...ENGLISH, ...SHIPPED[language], ...overrides[language] };
  document.documentElement.lang = language;
}

/** Returns a text with its parameters. `n` selects the plural form. */
export function t(key: MessageKey, parameters: Readonly<Record<string, string | number>> = {}): string {
  const forms = texts[key].split("|");
  const { n } = parameters;
  const isOne = typeof n === "number" && new Intl.PluralRules(language).select(n) === "one";
  const form = (isOne || forms.length === 1 ? forms[0] : forms.at(-1)) as string;
  return form.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = parameters[name] ?? "";
    return typeof value === "number" ? new Intl.NumberFormat(language).format(value) : value;
  });
}

/** The date and time of the person's own time zone. */
export function exactDate(date: string | number | Date): string {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(
    new Date(date),
  );
}

export function shortDate(date: string): string {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium" }).format(new Date(date));
}

const UNITS = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
] as const;

/** A date relative to now, such as "3 days ago". */
export function relativeDate(date: string): string {
  const seconds = (new Date(date).getTime() - Date.now()) / 1_000;
  const format = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  for (const [unit, length] of UNITS) {
    // Months begin at two, because "next month" may be 59 days away.
    if (Math.abs(seconds) >= (unit === "month" ? 2 * length : length))
      return format.format(Math.trunc(seconds / length), unit);
  }
  return format.format(0, "second");
}

/** A list of words, such as "name and networks". */
export function listOf(words: readonly string[]): string {
  return new Intl.ListFormat(language).format(words);
}

const CODES: Readonly<Record<string, MessageKey>> = {
  signed_out: "signedOutInFlow",
  unavailable: "unavailable",
  offline: "offline",
  key_changed: "changedElsewhere",
  key_conflict: "changedElsewhere",
  not_found: "notFound",
  already_signed_in: "alreadySignedIn",
};

/** Words an error for people. */
export function errorText(error: unknown): string {
  if (!(error instanceof ApiError)) return t("failed", { message: String(error) });
  const key = CODES[error.code] ?? (error.status >= 502 ? "unavailable" : undefined);
  if (key !== undefined) return t(key);
  const issues = error.issues.map(({ path, message }) => `${path} ${message}`);
  return t("failed", { message: issues.length > 0 ? issues.join("; ") : error.message });
}
