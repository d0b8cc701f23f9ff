import { parseJson } from "../http/body.js";
import { invalid } from "./matches.js";
import type { PreparedReceiver } from "./options.js";

const LIVE = ["active", "retiring"];
const MAX_CANDIDATES = 100;

/**
 * Whether a body of a custom verifier has the secret of a live key. The body is
 * `{ "<detector>": { "<regex>": ["<match>", "<group>", …] } }`. Nothing is changed or recorded.
 */
export async function isLive({ keys, isSecret }: PreparedReceiver, body: Uint8Array): Promise<boolean> {
  const detectors = parseJson(body);
  if (!isObject(detectors)) throw invalid("The body must be an object of detectors.");
  const strings = Object.values(detectors)
    .flatMap((regexes) => (isObject(regexes) ? Object.values(regexes) : []))
    .flatMap((matches) => (Array.isArray(matches) ? matches : []))
    .filter((match) => typeof match === "string");
  const secrets = strings.filter(isSecret).slice(0, MAX_CANDIDATES);
  const found = await keys.identify(secrets);
  return found.some((key) => key !== undefined && LIVE.includes(key.status));
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
