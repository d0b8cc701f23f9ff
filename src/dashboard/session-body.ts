import type { MessageKey } from "./messages.js";

/** A scope, as the form for new keys shows it. */
export interface ScopeBody {
  readonly name: string;
  readonly description?: string | undefined;
  /** Every scope that this one includes, without itself. */
  readonly implies: readonly string[];
  readonly planned: boolean;
  /** Whether the person may grant it. */
  readonly grantable: boolean;
}

/** A selection of scopes that the host offers. */
export interface ScopePreset {
  readonly name: string;
  readonly scopes: readonly string[];
}

/** Texts by language, and by key. */
export type MessageOverrides = Readonly<Record<string, Readonly<Partial<Record<MessageKey, string>>>>>;

/** The person on the page and what they may do. */
export interface PersonBody {
  readonly actor: string;
  readonly returnUrl?: string | undefined;
  readonly clientIp?: string | undefined;
  readonly environments: readonly string[];
  readonly scopes: readonly ScopeBody[];
  readonly presets: readonly ScopePreset[];
  /** In milliseconds; absent if keys may live forever. */
  readonly maxLifetime?: number | undefined;
  readonly rateLimits: boolean;
  /** The default members of a new key. */
  readonly defaults: Readonly<Record<string, unknown>>;
}

/** The body of `-/session`. */
export interface SessionBody {
  readonly title: string;
  readonly logo?: string | undefined;
  readonly signInUrl?: string | undefined;
  readonly messages: MessageOverrides;
  readonly person: PersonBody | null;
}
