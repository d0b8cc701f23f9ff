import { lookup } from "node:dns";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { type CidrList, compileCidrs, parseIp } from "../kit.js";

/** Networks that are not on the internet (IANA special-purpose registries), and addresses that stand for those. */
const PRIVATE: CidrList = compileCidrs([
  ...["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"],
  ...["192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"],
  ...["203.0.113.0/24", "224.0.0.0/3"],
  ...[
    "::/96",
    "::ffff:0:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
  ],
  ...["3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"],
]);

/** A request that an endpoint did not accept, or that was not sent. */
export class WebhookError extends Error {
  override readonly name: "WebhookError" = "WebhookError";
  readonly code: "KEYBEARER_WEBHOOK" = "KEYBEARER_WEBHOOK";
}

/**
 * Posts JSON. Resolves for a status from 200 to 299. Follows no redirects, and does not read the response. The address that
 * is checked is the one that is connected to.
 *
 * @throws WebhookError for another status, an invalid URL, a private address or after `timeoutMs`. A connection that fails
 *   rejects with the error of Node.
 */
export async function postJson(
  target: string,
  headers: Readonly<Record<string, string>>,
  body: string,
  { timeoutMs, allowPrivate }: { readonly timeoutMs: number; readonly allowPrivate: boolean },
): Promise<void> {
  const url = readTarget(target, allowPrivate);
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  await new Promise<void>((resolve, reject) => {
    const request = send(url, {
      method: "POST",
      headers: {
        ...headers,
        "Content-Type": "application/json",
        "Content-Length": String(Buffer.byteLength(body)),
        "User-Agent": "keybearer",
      },
      lookup: allowPrivate ? lookup : lookupPublic,
      agent: false, // a connection that is kept would have been checked for another name
      signal: AbortSignal.timeout(timeoutMs),
    });
    request.on("error", (error) => {
      const isLate = (error as NodeJS.ErrnoException).code === "ABORT_ERR" || error.name === "TimeoutError";
      reject(isLate ? new WebhookError("The endpoint did not respond in time") : error);
    });
    request.on("response", ({ statusCode = 0 }) => {
      request.destroy();
      if (statusCode >= 200 && statusCode < 300) resolve();
      else reject(new WebhookError(`The endpoint returned status ${statusCode}`));
    });
    request.end(body);
  });
}

function readTarget(target: string, allowPrivate: boolean): URL {
  if (!URL.canParse(target)) throw new WebhookError("The URL of the endpoint is not valid");
  const url = new URL(target);
  if (url.protocol !== "https:" && !(allowPrivate && url.protocol === "http:")) {
    throw new WebhookError("The URL of the endpoint must begin with https:");
  }
  if (url.username !== "" || url.password !== "") {
    throw new WebhookError("The URL of the endpoint must not have a user name or password");
  }
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (!allowPrivate && isIP(host) !== 0 && isPrivate(host)) throw privateAddress(); // not looked up
  return url;
}

/** Looks a name up, and rejects it if any of its addresses is private. */
const lookupPublic: LookupFunction = (name, options, callback) => {
  lookup(name, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, []);
    if (addresses.length === 0 || addresses.some(({ address }) => isPrivate(address))) {
      return callback(privateAddress(), []);
    }
    if (options.all) return callback(null, addresses);
    const [first] = addresses;
    callback(null, first?.address ?? "", first?.family);
  });
};

function isPrivate(address: string): boolean {
  const ip = parseIp(address);
  return ip === undefined || PRIVATE.includes(ip);
}

function privateAddress(): WebhookError {
  return new WebhookError("The endpoint has a private address");
}
