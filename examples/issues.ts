import type { z } from "zod";

/** One invalid member of a request. */
export interface InputIssue {
  /** The member, such as `allowedData[1]`, or "" for the whole body. */
  readonly path: string;
  readonly message: string;
}

/** Returns every issue that zod found, with one issue for each unknown member. */
export function issuesOf({ issues }: z.ZodError): InputIssue[] {
  return issues.flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((name) => ({ path: pathOf([...issue.path, name]), message: "is not a known member" }))
      : [{ path: pathOf(issue.path), message: issue.message }],
  );
}

function pathOf(steps: readonly PropertyKey[]): string {
  return steps
    .map((step) => (typeof step === "number" ? `[${step}]` : `.${String(step)}`))
    .join("")
    .replace(/^\./, "");
}

/** Returns the `error` option of a zod schema: "is required" if the member is missing, otherwise `message`. */
export function requiredOr(message: string) {
  return {
    error: (issue: { readonly input?: unknown }) => (issue.input === undefined ? "is required" : message),
  };
}
