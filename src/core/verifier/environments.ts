import { describe, isNonEmptyString } from "../../internal/validate.js";

/**
 * Returns whether a service serves an environment. A key without an environment is always served.
 *
 * @throws TypeError if `environment` is not a name or an array of names, or names an environment that is not in `known`.
 */
export function readEnvironments(
  where: string,
  environment: string | readonly string[] | undefined,
  known: readonly string[],
): (environment: string | undefined) => boolean {
  if (environment === undefined) return () => true;
  const names: readonly unknown[] = Array.isArray(environment) ? environment : [environment];
  if (names.length === 0) {
    throw new TypeError(`${where}: "environment" is an empty array; omit it to serve all environments`);
  }
  for (const name of names) {
    if (!isNonEmptyString(name)) {
      throw new TypeError(
        `${where}: "environment" must be a name or an array of names; received ${describe(name)}`,
      );
    }
    if (known.length > 0 && !known.includes(name)) {
      const expected = known.map((one) => JSON.stringify(one)).join(", ");
      throw new TypeError(
        `${where}: "environment" must be one of ${expected}; received ${JSON.stringify(name)}`,
      );
    }
  }
  const served = new Set(names);
  return (name) => name === undefined || served.has(name);
}
