import type { Awaitable } from "../internal/awaitable.js";
import { type Duration, readDuration } from "../internal/duration.js";
import {
  checkBoolean,
  checkFunction,
  checkMethods,
  checkOptions,
  rejectUndefined,
} from "../internal/validate.js";
import type { ClientIpOptions, GuardErrorContext, KeyManager, Principal } from "../kit.js";
import type { CreateDefaults } from "../management/options.js";
import { ENGLISH } from "./messages.js";
import { createPortal, type Portal } from "./portal.js";
import type { PortalStore } from "./portal-store.js";
import type { MessageOverrides, ScopePreset } from "./session-body.js";
import type { SignedIn } from "./signed-in.js";
import { readTheme, type Theme } from "./theme.js";

/** Options of {@link createDashboard}. */
export interface DashboardOptions<S extends string = string> {
  /** Creates and changes the keys. */
  readonly keys: KeyManager<S>;
  /**
   * Returns the person of a request, from the session of the host: a cookie, a JWT, or anything else in its headers.
   * `undefined`: not signed in. If it throws or takes 10 seconds, the response is an error and nothing is changed.
   * Required unless there is a `portalStore`.
   */
  readonly signedIn?: (request: Request) => Awaitable<SignedIn<NoInfer<S>> | undefined>;
  /** The heading of the page; `"API keys"` by default. */
  readonly title?: string;
  /** An image in the header: a path of the same origin that begins with `/`, or a `data:image/` URL. */
  readonly logo?: string;
  /** Where the page sends people who are not signed in: a path or an `https:` or `http:` URL. */
  readonly signInUrl?: string;
  /** Returns the default members of a new key. The form shows them, and people can change them. */
  readonly defaults?: (principal: Principal<S>) => Awaitable<CreateDefaults<NoInfer<S>>>;
  /** Selections of scopes that the form offers, beside read-only and all. */
  readonly presets?: readonly ScopePreset[];
  /** Whether people may set rate limits of keys; `false` by default. */
  readonly rateLimits?: boolean;
  readonly theme?: Theme;
  /** Texts that replace those of the page, by language and key: `{ en: { title: "Tokens" } }`. */
  readonly messages?: MessageOverrides;
  /**
   * The URL of the page as browsers see it. Required for `portalStore`, and for browsers without `Sec-Fetch-Site` behind
   * a proxy. `https:`, or `http:` on a loopback address.
   */
  readonly publicUrl?: string;
  /** Where codes and sessions of {@link Dashboard.portalUrl} are kept: `memoryPortalStore()` or one that processes share. */
  readonly portalStore?: PortalStore;
  /** How long a session of a portal link lasts, up to `"24h"`; `"1h"` by default. */
  readonly portalSession?: Duration;
  /** The proxies whose forwarding headers name the person's address, which the page offers for allowlists. */
  readonly trustedProxies?: ClientIpOptions["trustedProxies"];
  /** Called with every error whose response is a 500 or 503. By default, the first one is a process warning. */
  readonly onError?: (error: unknown, context: GuardErrorContext) => unknown;
}

/** Validated options. */
export interface PreparedDashboard<S extends string> extends DashboardOptions<S> {
  readonly title: string;
  readonly portal: Portal<S> | undefined;
  readonly publicOrigin: string | undefined;
  readonly themeStyle: string;
}

const WHERE = "createDashboard";
const OPTIONS: readonly (keyof DashboardOptions)[] = [
  "keys",
  "signedIn",
  "title",
  "logo",
  "signInUrl",
  "defaults",
  "presets",
  "rateLimits",
  "theme",
  "messages",
  "publicUrl",
  "portalStore",
  "portalSession",
  "trustedProxies",
  "onError",
];

/** @throws TypeError if an option is unknown, missing or invalid; the message names the option. */
export function prepareDashboard<S extends string>(given: DashboardOptions<S>): PreparedDashboard<S> {
  const options = checkOptions(WHERE, given, OPTIONS);
  for (const name of OPTIONS) rejectUndefined(WHERE, options, name);
  const { keys, signedIn, portalStore, title = "API keys", presets = [], theme = {} } = options;
  checkMethods(WHERE, "keys", keys, ["create", "get", "list", "auditTrail"]);
  for (const name of ["signedIn", "defaults", "onError"] as const) checkFunction(WHERE, name, options[name]);
  checkBoolean(WHERE, "rateLimits", options.rateLimits);
  if (portalStore !== undefined) checkMethods(WHERE, "portalStore", portalStore, ["put", "get"]);
  if (signedIn === undefined && portalStore === undefined) {
    throw new TypeError(`${WHERE}: "signedIn" or "portalStore" is required`);
  }
  if (typeof title !== "string") throw new TypeError(`${WHERE}: "title" must be a string`);
  checkPattern(
    "logo",
    options.logo,
    /^(?:\/(?!\/)|data:image\/)/,
    "a path that begins with / or a data:image/ URL",
  );
  checkPattern("signInUrl", options.signInUrl, /^(?:\/(?!\/)|https?:\/\/)/, "a path or an https: URL");
  checkPresets(keys, presets);
  checkMessages(options.messages ?? {});
  const publicUrl = options.publicUrl === undefined ? undefined : readPublicUrl(options.publicUrl);
  const sessionMs = readDuration(WHERE, "portalSession", options.portalSession ?? "1h", {
    min: "1s",
    max: "24h",
  });
  if (portalStore !== undefined && publicUrl === undefined) {
    throw new TypeError(`${WHERE}: "portalStore" needs "publicUrl"`);
  }
  return {
    ...options,
    title,
    presets: presets.map(({ name, scopes }) => ({ name, scopes: [...scopes] })),
    portal: portalStore && publicUrl && createPortal<S>({ store: portalStore, publicUrl, sessionMs }),
    publicOrigin: publicUrl?.origin,
    themeStyle: readTheme(WHERE, checkOptions(`${WHERE}: "theme"`, theme, ["accent", "accentDark"])),
  };
}

function checkPattern(name: string, value: unknown, pattern: RegExp, expected: string): void {
  if (value === undefined || (typeof value === "string" && pattern.test(value) && !/[\s\\]/.test(value)))
    return;
  throw new TypeError(`${WHERE}: "${name}" must be ${expected}`);
}

function checkPresets(keys: KeyManager, presets: readonly ScopePreset[]): void {
  if (!Array.isArray(presets)) throw new TypeError(`${WHERE}: "presets" must be an array`);
  for (const preset of presets) {
    const { name, scopes } = checkOptions(`${WHERE}: "presets"`, preset, ["name", "scopes"]);
    const isValid =
      typeof name === "string" &&
      Array.isArray(scopes) &&
      scopes.every((scope) => keys.scopes.isGrantable(scope));
    if (!isValid)
      throw new TypeError(`${WHERE}: "presets" must have a name and an array of grantable scopes`);
  }
}

function checkMessages(messages: MessageOverrides): void {
  for (const [language, texts] of Object.entries(messages)) {
    const where = `${WHERE}: "messages.${language}"`;
    for (const [key, text] of Object.entries(checkOptions(where, texts, Object.keys(ENGLISH)))) {
      if (typeof text !== "string") throw new TypeError(`${where}: "${key}" must be a string`);
    }
  }
}

/** A session cookie is `Secure`, which browsers accept over HTTP on loopback addresses only. */
function readPublicUrl(given: unknown): URL {
  const url = typeof given === "string" && URL.canParse(given) ? new URL(given) : undefined;
  const isLoopback = url !== undefined && ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  const isSafe = url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback);
  if (url === undefined || !isSafe || url.search !== "" || url.hash !== "" || url.username !== "") {
    throw new TypeError(
      `${WHERE}: "publicUrl" must be an https: URL without query and fragment, such as "https://app.example/keys/"`,
    );
  }
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}
