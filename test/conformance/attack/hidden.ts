import { hashSecret, type Pepper } from "../../../src/index.js";
import { format, secrets } from "../../unit/adapters/fixtures.js";
import { ec, otherEc } from "../../unit/jwt/fixtures.js";
import { attacks } from "./catalogue.js";
import type { Hidden } from "./search.js";
import { sentSecrets } from "./soundness.js";
import { bytesFor } from "./target.js";
import { managed } from "./world.js";

/** Length of the `start` of a secret: prefix, environment and four random characters. */
export const SHOWN = "ezt_live_".length + 4;
const SECRET_LIKE = /^ezt[_.~-]/;

/** Returns a secret and each of its hashes. */
export function secretAndHashes(name: string, secret: string, pepper?: Pepper): readonly Hidden[] {
  const hashes = [undefined, ...versionsOf(pepper)].map((version) => hashSecret(secret, version));
  return [
    { name, text: secret, shown: SHOWN },
    ...hashes.flatMap((hash) => hashForms(`the hash of ${name}`, hash)),
  ];
}

/** Returns the pepper with each of its versions as the current one. */
function versionsOf(pepper: Pepper | undefined): readonly Pepper[] {
  if (pepper === undefined || typeof pepper === "string") return pepper === undefined ? [] : [pepper];
  return Object.keys(pepper.keys).map((current) => ({ ...pepper, current }));
}

/** Returns a hash in hex, base64, base64url and as bytes. */
export function hashForms(name: string, hash: string): readonly Hidden[] {
  const digits = hash.replace(/^.*:/, "");
  const bytes = Buffer.from(digits, "hex");
  return [
    { name, text: digits, step: 16 },
    { name, text: bytes.toString("base64").slice(0, -2), step: 16 },
    { name, text: bytes.toString("base64url").slice(0, -1), step: 16 },
    { name, text: bytes.toString("latin1"), step: 16 },
  ];
}

/** Returns every version of a pepper. */
export function peppers(pepper: Pepper): readonly Hidden[] {
  const texts = typeof pepper === "string" ? [pepper] : Object.values(pepper.keys);
  return texts.map((text, index) => ({ name: `pepper ${index}`, text }));
}

/** Returns what must stay hidden of a sent credential. Of a token it is the signature, because its claims are public. */
function sentHidden(name: string, text: string, pepper: Pepper): readonly Hidden[] {
  if (format.parse(text) !== undefined) return secretAndHashes(name, text, pepper);
  if (SECRET_LIKE.test(text)) return [{ name, text, shown: SHOWN }]; // rejected by its format, and never hashed
  const dots = text.split(".").length - 1;
  const shown = dots === 2 ? text.lastIndexOf(".") + 1 : 0;
  return isRandom(text.slice(shown)) ? [{ name, text, shown }] : [];
}

/** Whether a string of the catalogue could be a secret, unlike `hasOwnProperty` or a path. */
const isRandom = (text: string): boolean =>
  text.length >= 16 && /[0-9]/.test(text) && /[a-z]/.test(text) && /[A-Z]/.test(text) && !/[/:]/.test(text);

/** Returns every secret, similar string, token, hash and pepper of the catalogue and of its services. */
export function hiddenOfCatalogue(pepper: Pepper): readonly Hidden[] {
  const own = [
    ...Object.entries(secrets),
    ...Object.entries(managed).map(([name, { secret }]) => [`managed ${name}`, secret] as const),
  ];
  const known = new Set(own.map(([, secret]) => secret));
  const sent = new Map<string, string>();
  for (const attack of attacks) {
    for (let index = 0; index < (attack.traffic?.connections ?? 1); index++) {
      for (const text of sentSecrets(bytesFor(attack, index))) {
        if (!known.has(text)) sent.set(text, attack.id);
      }
    }
  }
  const keys = [ec, otherEc].map(({ privateKey }) => privateKey.export({ format: "jwk" }).d as string);
  return [
    ...own.flatMap(([name, secret]) => secretAndHashes(name, secret, pepper)),
    ...[...sent].flatMap(([text, id]) => sentHidden(`the credential of ${id}`, text, pepper)),
    ...peppers(pepper),
    ...keys.map((text, index) => ({ name: `private key ${index}`, text })),
  ];
}
