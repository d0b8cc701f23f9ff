import { checkOptions, describe, rejectUndefined } from "../internal/validate.js";
import type { SecurityScheme } from "./openapi-security.js";

/** What the OpenAPI document says about your service. The members are those of OpenAPI 3.1. */
export interface OpenApiOptions {
  /** The title is `"API keys"`, the version `"1.0.0"` and the license `LicenseRef-Proprietary` by default. */
  readonly info?: {
    readonly title?: string;
    readonly version?: string;
    readonly summary?: string;
    readonly description?: string;
    readonly termsOfService?: string;
    readonly contact?: Readonly<Record<string, string>>;
    readonly license?: { readonly name: string; readonly identifier?: string; readonly url?: string };
  };
  /** The servers, whose URLs precede `basePath`; `[{ url: "/" }]` by default. */
  readonly servers?: readonly { readonly url: string; readonly description?: string }[];
  /** The tags of every operation; one named `API keys` by default. */
  readonly tags?: readonly { readonly name: string; readonly description?: string }[];
  /**
   * The security schemes by name; every operation accepts any of them. By default those of the verifiers, as
   * `securitySchemes` returns them.
   */
  readonly securitySchemes?: Readonly<Record<string, SecurityScheme>>;
}

const INFO = ["title", "version", "summary", "description", "termsOfService", "contact", "license"];

/** @throws TypeError if an option is unknown or invalid. */
export function prepareOpenApi(where: string, given: OpenApiOptions = {}): OpenApiOptions {
  const at = `${where}: "openapi"`;
  const options = checkOptions(at, given, ["info", "servers", "tags", "securitySchemes"]);
  for (const name of Object.keys(options) as (keyof OpenApiOptions)[]) rejectUndefined(at, options, name);
  checkOptions(`${where}: "openapi.info"`, options.info ?? {}, INFO);
  for (const [name, member] of [
    ["servers", "url"],
    ["tags", "name"],
  ] as const) {
    const list: readonly object[] | undefined = options[name];
    if (list === undefined) continue;
    if (!Array.isArray(list))
      throw new TypeError(`${at}: "${name}" must be an array; received ${describe(list)}`);
    if (list.some((item) => typeof item?.[member] !== "string")) {
      throw new TypeError(`${at}: "${name}" must have objects with a string "${member}"`);
    }
  }
  const { securitySchemes } = options;
  if (securitySchemes === undefined) return options;
  const schemes = Object.values(checkOptions(at, securitySchemes, Object.keys(securitySchemes ?? {})));
  if (schemes.length === 0 || schemes.some((scheme) => typeof scheme?.type !== "string")) {
    throw new TypeError(`${at}: "securitySchemes" must have at least one scheme, each with a "type"`);
  }
  return options;
}
