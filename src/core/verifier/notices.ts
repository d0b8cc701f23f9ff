import { DURATION_FORMAT, type Duration, parseDuration } from "../../internal/duration.js";
import { isPresent, type VerifiableRecord } from "../keys/record.js";

/** The header that tells the holder of a key to get another one. */
const NOTICE_HEADER = "API-Key-Notice";

/** What the response to a key says of it, as headers; the same empty object when there is nothing to say. */
export type KeyNotices = (record: VerifiableRecord, now: number) => Readonly<Record<string, string>>;

const NOTHING: Readonly<Record<string, string>> = Object.freeze({});
const DAY = 86_400_000;
const EXPIRY_NOTICE = 14 * DAY;
const ROTATION_AGE = 90 * DAY;

/**
 * Makes the notices of a verifier. The header is a list of RFC 9651 of which each item is a token with a date:
 *
 * - `retiring;end=@1767225600`: a successor took over, and this key works until then;
 * - `expiring;end=@1767225600`: the key expires within 14 days;
 * - `rotation-due;since=@1759449600`: the key is as old as `rotationAge`, 90 days by default.
 *
 * @throws TypeError for an age that is none.
 */
export function keyNotices(where: string, rotationAge: Duration | false | undefined): KeyNotices {
  const age =
    rotationAge === undefined ? ROTATION_AGE : rotationAge === false ? Infinity : parseDuration(rotationAge);
  if (!age) throw new TypeError(`${where}: "rotationAge" ${DURATION_FORMAT}, or false`);
  return (record, now) => {
    const end = timeOf(record.expiresAt);
    const due = timeOf(record.createdAt) + age;
    if (!(end - now <= EXPIRY_NOTICE || now >= due || isPresent(record.rotatedAt))) return NOTHING;
    const items: string[] = [];
    if (isPresent(record.rotatedAt)) items.push(item("retiring", "end", end));
    else if (end - now <= EXPIRY_NOTICE) items.push(item("expiring", "end", end));
    if (now >= due) items.push(item("rotation-due", "since", due));
    return { [NOTICE_HEADER]: items.join(", ") };
  };
}

/** Milliseconds since 1970; NaN, which no comparison passes, for none. */
function timeOf(date: Date | null | undefined): number {
  return date instanceof Date ? date.getTime() : Number.NaN;
}

/** A token with a date (RFC 9651, 3.3.7), which counts whole seconds. */
function item(token: string, name: string, time: number): string {
  return Number.isNaN(time) ? token : `${token};${name}=@${Math.floor(time / 1_000)}`;
}
