import { HttpProblem } from "../http/problem.js";

type PageProblem =
  | "signed_out"
  | "cross_site"
  | "invalid_portal_code"
  | "not_found"
  | "method_not_allowed"
  | "already_signed_in"
  | "unsupported_media_type";

const PROBLEMS: Readonly<Record<PageProblem, readonly [status: number, message: string]>> = {
  signed_out: [401, "You are not signed in, or your session has ended. Nothing was changed."],
  cross_site: [403, "This request does not come from the page itself. Nothing was changed."],
  invalid_portal_code: [403, "The link was used already, has expired, or is incomplete."],
  not_found: [404, "There is nothing at this path."],
  method_not_allowed: [405, "The method is not allowed here."],
  already_signed_in: [409, "You are signed in already. Sign out to use the link."],
  unsupported_media_type: [415, "Send the body as application/json in UTF-8, not compressed."],
};

/** Creates an error of the page. The management API has its own codes. */
export function pageProblem(code: PageProblem, headers: Readonly<Record<string, string>> = {}): HttpProblem {
  const [status, message] = PROBLEMS[code];
  return new HttpProblem(status, code, message, { headers });
}
