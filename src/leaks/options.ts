import { readUrl } from "../http/remote-url.js";
import { sharedCredential } from "../http/shared-credential.js";
import { checkFunction, checkMethods, checkOptions } from "../internal/validate.js";
import type { KeyFormat, KeyManager, Leak, LeakResult } from "../kit.js";

const WHERE = "createLeakReceiver";
const GITHUB_KEYS = "https://api.github.com/meta/public_keys/secret_scanning";

/** A report that named a secret of a stored key. */
export interface LeakReport extends LeakResult {
  readonly leak: Leak;
}

/** Options of {@link createLeakReceiver}. */
export interface LeakReceiverOptions {
  /** The manager of the keys. Its store needs `appendAudit`. */
  readonly keys: Pick<KeyManager, "identify" | "reportLeak">;
  /** The formats of the secrets; the same as the verifier's. Other strings are never looked up. */
  readonly format: Pick<KeyFormat, "parse"> | readonly Pick<KeyFormat, "parse">[];
  /** What happens to a key: `"revoke"`, `"disable"` or `"report"`, which only records the place. `"revoke"` by default. */
  readonly action?: "revoke" | "disable" | "report";
  /** Whether to revoke the descendants of a key as well. `false` by default. */
  readonly descendants?: boolean;
  /** GitHub's secret scanning partner program. On by default; `false` refuses its reports. */
  readonly github?: GithubOptions | false;
  /** GitLab's token revocation. Off by default. */
  readonly gitlab?: GitlabOptions;
  /** TruffleHog's custom verifiers, which ask whether a secret is live. Off by default. */
  readonly trufflehog?: TrufflehogOptions;
  /** Called after each report of a place that was not reported before, for a mail or a chat message. It is not awaited. */
  readonly onLeak?: (report: LeakReport) => unknown;
  /** Called with errors that a client sees as 503, and with those of `onLeak`. Logged as a process warning by default. */
  readonly onError?: (error: unknown, context: { readonly requestId: string }) => unknown;
}

/** How reports of GitHub are checked. */
export interface GithubOptions {
  /** Where GitHub publishes its public keys. That of github.com by default. */
  readonly keysUrl?: string;
  /** A token of GitHub for this URL, which has a low rate limit without one. None by default. */
  readonly token?: string;
}

/** How reports of GitLab are checked. */
export interface GitlabOptions {
  /** What GitLab sends in `Authorization` or `X-Gitlab-Token`: at least 16 characters. */
  readonly credential: string;
  /** The types of tokens that GitLab may report, such as `"gitleaks_rule_id_acme_api_key"`. */
  readonly types: readonly string[];
}

/** How questions of TruffleHog are checked. */
export interface TrufflehogOptions {
  /** What TruffleHog sends in `Authorization`, with or without `Bearer`: at least 16 characters. */
  readonly credential: string;
}

/** The checked options. */
export interface PreparedReceiver extends Pick<LeakReceiverOptions, "keys"> {
  /** Whether a string has one of the formats. */
  readonly isSecret: (text: string) => boolean;
  readonly onLeak: LeakReceiverOptions["onLeak"] | undefined;
  readonly onError: LeakReceiverOptions["onError"] | undefined;
  readonly reaction: { readonly action: "revoke" | "disable" | "report"; readonly descendants: boolean };
  readonly github: { readonly keysUrl: URL; readonly token: string | undefined } | undefined;
  readonly gitlab: { readonly isCredential: IsCredential; readonly types: readonly string[] } | undefined;
  readonly trufflehog: { readonly isCredential: IsCredential } | undefined;
}

/** Compares what a client sent with the configured credential, in constant time. */
export type IsCredential = (sent: string | null) => boolean;

/** @throws TypeError if an option is unknown, missing or invalid. */
export function prepareReceiver(given: LeakReceiverOptions): PreparedReceiver {
  const options = checkOptions(WHERE, given, [
    "keys",
    "format",
    "action",
    "descendants",
    "github",
    "gitlab",
    "trufflehog",
    "onLeak",
    "onError",
  ]);
  const { keys, format, action = "revoke", descendants = false, onLeak, onError } = options;
  checkMethods(WHERE, "keys", keys, ["identify", "reportLeak"]);
  const formats = Array.isArray(format) ? format : [format];
  if (formats.length === 0) throw new TypeError(`${WHERE}: "format" must not be an empty array`);
  for (const item of formats) checkMethods(WHERE, "format", item, ["parse"]);
  const isSecret = (text: string) =>
    formats.some((item: Pick<KeyFormat, "parse">) => item.parse(text) !== undefined);
  checkFunction(WHERE, "onLeak", onLeak);
  checkFunction(WHERE, "onError", onError);
  if (action !== "revoke" && action !== "disable" && action !== "report") {
    throw new TypeError(`${WHERE}: "action" must be "revoke", "disable" or "report"`);
  }
  if (typeof descendants !== "boolean" || (descendants && action !== "revoke")) {
    throw new TypeError(
      `${WHERE}: "descendants" must be true or false, and true only with the action "revoke"`,
    );
  }
  const prepared = {
    github: readGithub(options.github),
    gitlab: options.gitlab && readGitlab(options.gitlab),
    trufflehog: options.trufflehog && readTrufflehog(options.trufflehog),
  };
  if (Object.values(prepared).every((source) => source === undefined)) {
    throw new TypeError(`${WHERE}: at least one of "github", "gitlab" and "trufflehog" must be set`);
  }
  return { keys, isSecret, onLeak, onError, reaction: { action, descendants }, ...prepared };
}

function readGithub(given: GithubOptions | false | undefined): PreparedReceiver["github"] {
  if (given === false) return undefined;
  const { keysUrl = GITHUB_KEYS, token } = checkOptions(`${WHERE}: "github"`, given ?? {}, [
    "keysUrl",
    "token",
  ]);
  const url = readUrl(keysUrl, (problem) => new TypeError(`${WHERE}: "github.keysUrl" ${problem}`));
  if (token !== undefined && (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token))) {
    throw new TypeError(`${WHERE}: "github.token" must be a string of printable ASCII characters`);
  }
  return { keysUrl: url, token };
}

function readGitlab(given: GitlabOptions): NonNullable<PreparedReceiver["gitlab"]> {
  const { credential, types } = checkOptions(`${WHERE}: "gitlab"`, given, ["credential", "types"]);
  if (!Array.isArray(types) || types.length === 0 || !types.every((type) => typeof type === "string")) {
    throw new TypeError(`${WHERE}: "gitlab.types" must be a non-empty array of strings`);
  }
  return { isCredential: createComparison("gitlab", credential), types: [...types] };
}

function readTrufflehog(given: TrufflehogOptions): NonNullable<PreparedReceiver["trufflehog"]> {
  const { credential } = checkOptions(`${WHERE}: "trufflehog"`, given, ["credential"]);
  return { isCredential: createComparison("trufflehog", credential) };
}

function createComparison(source: string, credential: unknown): IsCredential {
  const isCredential = sharedCredential(`${WHERE}: "${source}.credential"`, credential);
  return (sent) => isCredential(/^(?:bearer +)?(\S+)$/i.exec(sent ?? "")?.[1]);
}
