import type { z } from "zod";

/** One thing that is wrong with a request. */
export interface Fault {
  /** The member, such as `allowedData[1]`, or "" for the body as a whole. */
  readonly path: string;
  readonly message: string;
}

/** Everything that zod found, an unknown member as a fault of its own. */
export function faultsOf({ issues }: z.ZodError): Fault[] {
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
