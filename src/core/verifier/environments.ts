import { describe } from "../../internal/validate.js";

/**
 * Whether a service serves an environment; one that is not named is served.
 *
 * @throws TypeError for names that are none, or that `known` does not have.
 */
export function readEnvironments(
  where: string,
  environment: string | readonly string[] | undefined,
  known: readonly string[],
): (environment: string | undefined) => boolean {
  if (environment === undefined) return () => true;
  const names: readonly unknown[] = Array.isArray(environment) ? environment : [environment];
  for (const name of names) {
    if (typeof name !== "string" || name === "") {
      const got = name === "" ? "an empty text" : describe(name);
      throw new TypeError(`${where}: "environment" must be a name or a list of names, got ${got}`);
    }
    if (known.length > 0 && !known.includes(name)) {
      throw new TypeError(
        `${where}: "environment" names ${JSON.stringify(name)}; the format has ${known.join(", ")}`,
      );
    }
  }
  if (names.length === 0)
    throw new TypeError(`${where}: "environment" is empty; leave it out to serve every one`);
  const served = new Set(names);
  return (name) => name === undefined || served.has(name);
}
