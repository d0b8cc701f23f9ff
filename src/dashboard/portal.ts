import { createHash, randomBytes } from "node:crypto";
import { type Duration, readDuration } from "../internal/duration.js";
import { checkOptions, describe } from "../internal/validate.js";
import { StoreError, toStoreError } from "../kit.js";
import { callHost } from "../management/host-call.js";
import type { PortalStore } from "./portal-store.js";
import { pageProblem } from "./problems.js";
import { checkPerson, type SignedIn } from "./signed-in.js";

/** What {@link Dashboard.portalUrl} makes a link for. */
export interface PortalLink<S extends string = string> extends SignedIn<S> {
  /** How long the link can be opened, from `"1s"` to `"24h"`; `"15m"` by default. */
  readonly ttl?: Duration;
  /** Where the link "Back" of the page leads: an `https:` or `http:` URL. */
  readonly returnUrl?: string;
}

/** A person on the page. */
export interface PortalPerson<S extends string = string> extends SignedIn<S> {
  readonly returnUrl?: string | undefined;
}

/** Links that sign a person in to the page, and the sessions that they start. */
export interface Portal<S extends string> {
  createUrl(link: PortalLink<S>): Promise<string>;
  /** Exchanges a code for a session. Returns the value of `Set-Cookie`. @throws HttpProblem 403 if the code is not valid. */
  redeem(code: unknown): Promise<string>;
  /** Returns the person whose session the cookie names. */
  find(headers: Headers): Promise<PortalPerson<S> | undefined>;
}

/** What a portal is created from. */
export interface PortalOptions {
  readonly store: PortalStore;
  readonly publicUrl: URL;
  /** How long a session lasts, in milliseconds. */
  readonly sessionMs: number;
}

const WHERE = "portalUrl";
const COOKIE = "__Secure-keybearer-portal";
const TOKEN = /^[A-Za-z0-9_-]{43}$/;

export function createPortal<S extends string>({ store, publicUrl, sessionMs }: PortalOptions): Portal<S> {
  const subject = "The portal store";
  const call = async <T>(action: () => T | PromiseLike<T>): Promise<T> => {
    try {
      return await callHost(subject, action);
    } catch (error) {
      throw toStoreError(error, subject);
    }
  };

  /** Stores a person under a new token, which is returned. */
  const issue = async (
    kind: "code" | "session",
    person: PortalPerson<S>,
    lifetime: number,
  ): Promise<string> => {
    const token = randomBytes(32).toString("base64url");
    const until = new Date(Date.now() + lifetime);
    const { ownerId } = person;
    const value = JSON.stringify({ ...person, until: until.getTime() });
    await call(() => store.put({ id: idOf(kind, token), ownerId, value, until }));
    return token;
  };

  const read = async (
    kind: "code" | "session",
    token: string,
    remove: boolean,
  ): Promise<PortalPerson<S> | undefined> => {
    const value = await call(() => store.get(idOf(kind, token), { remove }));
    if (value === undefined || value === null) return undefined;
    const { until, ...person } = parse(value);
    return until > Date.now() ? (person as PortalPerson<S>) : undefined;
  };

  return {
    async createUrl(given) {
      const link = checkOptions(WHERE, given, ["ownerId", "actor", "scopes", "ttl", "returnUrl"]);
      const { ttl = "15m", returnUrl } = link;
      const lifetime = readDuration(WHERE, "ttl", ttl, { min: "1s", max: "24h" });
      if (returnUrl !== undefined) checkReturnUrl(returnUrl);
      const { ownerId, actor, scopes } = checkPerson<S>(WHERE, link);
      const person = { ownerId, actor, ...(scopes && { scopes }), ...(returnUrl && { returnUrl }) };
      const code = await issue("code", person, lifetime);
      return `${publicUrl.href}#portal=${code}`;
    },

    async redeem(code) {
      const person =
        typeof code === "string" && TOKEN.test(code) ? await read("code", code, true) : undefined;
      if (person === undefined) throw pageProblem("invalid_portal_code");
      const token = await issue("session", person, sessionMs);
      // `Strict` suffices: the page loads without the cookie, and its own requests are same-site.
      const attributes = [
        "HttpOnly",
        "Secure",
        "SameSite=Strict",
        `Max-Age=${Math.floor(sessionMs / 1_000)}`,
      ];
      return [`${COOKIE}=${token}`, `Path=${publicUrl.pathname}`, ...attributes].join("; ");
    },

    async find(headers) {
      const token = readCookie(headers.get("cookie") ?? "");
      return token === undefined ? undefined : read("session", token, false);
    },
  };
}

/** Names the entry of a token. A code cannot be used as a session, and the other way round. */
function idOf(kind: "code" | "session", token: string): string {
  return createHash("sha256").update(`keybearer-portal-${kind}:${token}`).digest("base64url");
}

function parse(value: string): PortalPerson & { readonly until: number } {
  try {
    const person = JSON.parse(value);
    checkPerson("The portal store", person);
    if (typeof person.until === "number") return person;
  } catch {
    // reported below
  }
  throw new StoreError("The portal store returned a value that it was not given");
}

/** A sibling domain can add a second cookie of this name, so two are none. */
function readCookie(cookies: string): string | undefined {
  const found = cookies
    .split(";")
    .map((cookie) => cookie.trim())
    .filter((cookie) => cookie.startsWith(`${COOKIE}=`))
    .map((cookie) => cookie.slice(COOKIE.length + 1));
  const [token = ""] = found;
  return found.length === 1 && TOKEN.test(token) ? token : undefined;
}

function checkReturnUrl(url: unknown): void {
  if (typeof url === "string" && URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return;
  throw new TypeError(`${WHERE}: "returnUrl" must be an https: or http: URL; received ${describe(url)}`);
}
