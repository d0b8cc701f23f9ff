import { DURATION_FORMAT, type Duration, parseDuration } from "../../internal/duration.js";
import { isCreatedBy } from "../keys/frozen-record.js";
import { isPresent, timeOf, type VerifiableRecord } from "../keys/record.js";

const NOTICE_HEADER = "API-Key-Notice";

/** Returns the headers that tell a client to get a new key; usually none. `now` is in milliseconds since 1970. */
export type KeyNotices = (record: VerifiableRecord, now: number) => Readonly<Record<string, string>>;

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});
const DAY_MS = 86_400_000;
const EXPIRY_NOTICE_MS = 14 * DAY_MS;
const ROTATION_AGE_MS = 90 * DAY_MS;

/**
 * Creates the notices of a verifier. `API-Key-Notice` is a list of tokens with dates (RFC 9651):
 *
 * - `retiring;end=@1767225600`: the key was rotated and works until then;
 * - `expiring;end=@1767225600`: the key expires within 14 days;
 * - `rotation-due;since=@1759449600`: the key is older than `rotationAge`, 90 days by default.
 *
 * @throws TypeError if `rotationAge` is neither a duration nor `false`.
 */
export function keyNotices(where: string, rotationAge: Duration | false | undefined): KeyNotices {
  const age =
    rotationAge === undefined
      ? ROTATION_AGE_MS
      : rotationAge === false
        ? Infinity
        : parseDuration(rotationAge);
  if (!age) throw new TypeError(`${where}: "rotationAge" ${DURATION_FORMAT}, or false`);
  return (record, now) => {
    const isRetiring = isPresent(record.rotatedAt);
    const isExpiring = isPresent(record.expiresAt) && timeOf(record.expiresAt) - now <= EXPIRY_NOTICE_MS;
    const isDue = isCreatedBy(record, now - age);
    if (!isRetiring && !isExpiring && !isDue) return NO_HEADERS;
    const items: string[] = [];
    if (isRetiring) items.push(item("retiring", "end", timeOf(record.expiresAt)));
    else if (isExpiring) items.push(item("expiring", "end", timeOf(record.expiresAt)));
    if (isDue) items.push(item("rotation-due", "since", timeOf(record.createdAt) + age));
    return { [NOTICE_HEADER]: items.join(", ") };
  };
}

/** A token with a date in whole seconds (RFC 9651, 3.3.7). */
function item(token: string, name: string, time: number): string {
  return Number.isNaN(time) ? token : `${token};${name}=@${Math.floor(time / 1_000)}`;
}
