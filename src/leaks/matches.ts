import { parseJson } from "../http/body.js";
import { HttpProblem } from "../http/problem.js";
import { isNonEmptyString } from "../internal/validate.js";
import { type ApiKey, KeyNotFoundError, type Leak } from "../kit.js";
import type { LeakReport, PreparedReceiver } from "./options.js";

/** The most matches of one body. */
const MAX_MATCHES = 10_000;
const MAX_TEXT = 255;
const MAX_URL = 2_048;
const CONCURRENCY = 10;

/** A string that a scanner found, and where. */
export interface Match {
  readonly token: string;
  /** The scanner's name of this kind of secret. */
  readonly type: string;
  readonly leak: Leak;
}

/**
 * Reads an array of `{ token, type, url }`. `readLeak` reads the place from a match.
 *
 * @throws HttpProblem 400 if the body is something else, 413 for more than 10,000 matches.
 */
export function readMatches(
  body: Uint8Array,
  readLeak: (match: Readonly<Record<string, unknown>>) => Leak,
): readonly Match[] {
  const list = parseJson(body);
  if (!Array.isArray(list)) throw invalid("The body must be an array.");
  if (list.length > MAX_MATCHES) {
    throw new HttpProblem(413, "body_too_large", `The body may have at most ${MAX_MATCHES} matches.`);
  }
  return list.map((match) => {
    const { token, type }: Record<string, unknown> = match ?? {};
    if (!isNonEmptyString(token) || !isNonEmptyString(type)) {
      throw invalid('Every match must have the strings "token" and "type".');
    }
    const { source, type: kind, url } = readLeak(match);
    const clean = (text: string | null, max: number) =>
      text && toLine(text.replaceAll(token, "…").replaceAll(encodeURIComponent(token), "…"), max);
    return { token, type, leak: { source, type: clean(kind, MAX_TEXT), url: clean(url, MAX_URL) } };
  });
}

/**
 * Reports the keys of matches, and returns the key of each; `undefined` for a match that is no secret of a stored key.
 * Reports the others too if one fails, and then throws the first error, so that the scanner sends the body again.
 */
export async function reportMatches(
  { keys, isSecret, reaction }: PreparedReceiver,
  matches: readonly Match[],
  onReport: (report: LeakReport) => void,
): Promise<readonly (ApiKey | undefined)[]> {
  const secrets = matches.map(({ token }) => token).filter(isSecret);
  const keysOf = new Map<string, ApiKey>();
  for (const [index, key] of (await keys.identify(secrets)).entries()) {
    if (key !== undefined) keysOf.set(secrets[index] as string, key);
  }
  const open = matches.flatMap(({ token, leak }) => {
    const key = keysOf.get(token);
    return key === undefined ? [] : [{ id: key.id, leak }];
  });
  const errors: unknown[] = [];
  const reportNext = async (): Promise<void> => {
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const { id, leak } = next;
      try {
        const result = await keys.reportLeak(id, { ...leak, ...reaction, actor: `scanner:${leak.source}` });
        if (result.outcome !== "repeated") onReport({ ...result, leak });
      } catch (error) {
        if (!(error instanceof KeyNotFoundError)) errors.push(error); // otherwise purged in the meantime
      }
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, reportNext));
  if (errors.length > 0) throw errors[0];
  return matches.map(({ token }) => keysOf.get(token));
}

/** Returns a member of a match, if it is a string. */
export function textOf(match: Readonly<Record<string, unknown>>, ...names: readonly string[]): string | null {
  const value = names.map((name) => match[name]).find((text) => typeof text === "string" && text !== "");
  return typeof value === "string" ? value : null;
}

export function invalid(message: string): HttpProblem {
  return new HttpProblem(400, "invalid_body", message);
}

/** Removes what the manager does not accept in a line of the audit trail. */
function toLine(text: string, maxLength: number): string {
  return text
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u202a-\u202e\u2066-\u2069]/gu, "")
    .slice(0, maxLength)
    .replace(/\p{Cs}/gu, ""); // half of a character that the limit cut
}
