import { readForm } from "../http/body.js";
import { oauthProblem } from "./responses.js";

/** The parameters of a form, as RFC 6749, section 3.2, reads them. */
export interface OAuthForm {
  get(name: string): string | undefined;
  has(name: string): boolean;
  /** The values of a parameter that may be repeated. */
  all(name: string): readonly string[];
}

// RFC 8693, 2.1: one request may name several of these.
const REPEATABLE: ReadonlySet<string> = new Set(["audience", "resource"]);

/**
 * Reads a form. A parameter without a value counts as left out, and one that is repeated is refused.
 *
 * @throws HttpProblem 400 `invalid_request`, 413 or 415
 */
export async function readOAuthForm(request: Request): Promise<OAuthForm> {
  const sent = await readForm(request);
  const values = new Map<string, string[]>();
  for (const [name, value] of sent) {
    const known = values.get(name);
    if (known === undefined) values.set(name, [value]);
    else if (REPEATABLE.has(name)) known.push(value);
    else throw oauthProblem("invalid_request", "A parameter is repeated.");
  }
  const all = (name: string) => (values.get(name) ?? []).filter((value) => value !== "");
  return {
    all,
    get: (name) => all(name)[0],
    has: (name) => all(name).length > 0,
  };
}
