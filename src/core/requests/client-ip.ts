import { memoize } from "../../internal/memoize.js";
import { describe } from "../../internal/validate.js";
import { warnOnce } from "../../internal/warn.js";
import { cidrProblem, compileCidrs, formatIp, parseIp } from "./cidr.js";
import type { CidrList, IpAddress } from "./ranges.js";
import {
  type AuthRequest,
  headerValue,
  isComplete,
  REPEATED,
  singleHeader,
  TOKEN,
  trimOws,
} from "./request.js";

/** Names for networks that proxies often are in. */
const NAMED_NETWORKS: Readonly<Record<string, readonly string[]>> = {
  loopback: ["127.0.0.0/8", "::1/128"],
  linklocal: ["169.254.0.0/16", "fe80::/10"],
  uniquelocal: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
};

const CHAIN_PARSERS = new Map([
  ["x-forwarded-for", parseXForwardedFor],
  ["forwarded", parseForwarded],
]);
const HEADER_NAME = new RegExp(`^${TOKEN}$`);

/** How the address of the client is determined. */
export interface ClientIpOptions {
  /**
   * Networks of the proxies in front of this service: CIDRs, or `"loopback"`, `"linklocal"`, `"uniquelocal"`. None by
   * default: the client is the other end of the socket, and no header is read.
   */
  readonly trustedProxies?: readonly string[];
  /**
   * The header that the trusted proxies write: `"x-forwarded-for"`, `"forwarded"` (RFC 7239), or the name of a header
   * that holds one address, such as `"cf-connecting-ip"`. `"x-forwarded-for"` by default.
   */
  readonly clientIpHeader?: "x-forwarded-for" | "forwarded" | (string & {});
  /**
   * The client address of a request from a trusted proxy whose header is missing, or lists only trusted proxies.
   * `"unknown"`: such a request may be anyone's, so keys with an allowlist are denied. `"use-peer"`: the outermost trusted
   * proxy is the client, as in Express. `"unknown"` by default.
   */
  readonly missingForwardedHeader?: "unknown" | "use-peer";
}

/** An address, as a string and parsed. */
interface ClientIp {
  readonly text: string;
  readonly ip: IpAddress;
}

/** Returns the address of the client; `undefined` if it is unknown. */
export type ClientIpResolver = (request: AuthRequest) => ClientIp | undefined;

/**
 * Creates a function that finds the client behind trusted proxies. The chain is read from the socket outwards, right to
 * left; the first address that is not a trusted proxy is the client. Entries further left were written by the client
 * and are not read. An invalid entry on the way makes the address unknown. The first request of a trusted proxy without a
 * client emits the process warning `KEYBEARER_MISSING_FORWARDED_HEADER`.
 *
 * @throws TypeError if an option is invalid, or `clientIpHeader` or `missingForwardedHeader` is set without
 *   `trustedProxies`.
 */
export function clientIpResolver(options: ClientIpOptions): ClientIpResolver {
  const { trustedProxies = [], clientIpHeader, missingForwardedHeader } = options;
  const trusted = compileProxies(trustedProxies);
  if (clientIpHeader !== undefined) {
    if (typeof clientIpHeader !== "string" || !HEADER_NAME.test(clientIpHeader)) {
      throw new TypeError('"clientIpHeader" must be a header name (RFC 9110, 5.1)');
    }
    if (trustedProxies.length === 0) {
      throw new TypeError('"clientIpHeader" requires "trustedProxies": any client can send the header');
    }
  }
  if (missingForwardedHeader !== undefined) {
    if (missingForwardedHeader !== "unknown" && missingForwardedHeader !== "use-peer") {
      throw new TypeError(
        `"missingForwardedHeader" must be "unknown" or "use-peer"; received ${describe(missingForwardedHeader)}`,
      );
    }
    if (trustedProxies.length === 0) {
      throw new TypeError('"missingForwardedHeader" has no effect without "trustedProxies"');
    }
  }
  const header = (clientIpHeader ?? "x-forwarded-for").toLowerCase();
  const warn = warnOnce("KEYBEARER_MISSING_FORWARDED_HEADER");
  const withoutClient = (proxy: ClientIp): ClientIp | undefined => {
    if (missingForwardedHeader === "use-peer") return proxy;
    if (missingForwardedHeader === undefined) {
      warn(
        `A trusted proxy sent no client address in "${header}", so keys with an allowlist are denied. ` +
          'Let the proxy set the header, or set "missingForwardedHeader".',
      );
    }
    return undefined;
  };
  const parseChain = CHAIN_PARSERS.get(header) ?? parseSingleAddress;

  return (request) => {
    let client = parseAddress(withoutZone(request.remoteAddress));
    if (client === undefined || !trusted.includes(client.ip)) return client;
    if (!isComplete(request)) return undefined;
    const field =
      parseChain === parseSingleAddress ? singleHeader(request, header) : headerValue(request, header);
    if (field === undefined) return withoutClient(client);
    if (field === REPEATED) return undefined;
    const chain = parseChain(field);
    if (chain === undefined) return undefined;
    for (let i = chain.length - 1; i >= 0; i--) {
      client = parseAddress(chain[i]);
      if (client === undefined || !trusted.includes(client.ip)) return client;
    }
    return withoutClient(client);
  };
}

function compileProxies(names: readonly string[]): CidrList {
  if (!Array.isArray(names)) throw new TypeError('"trustedProxies" must be an array of networks');
  return compileCidrs(
    names.flatMap((name, index) => {
      if (typeof name === "string" && Object.hasOwn(NAMED_NETWORKS, name))
        return NAMED_NETWORKS[name] as readonly string[];
      const problem = cidrProblem(name);
      if (problem === undefined) return [name];
      throw new TypeError(`"trustedProxies[${index}]" ${problem}`);
    }),
  );
}

/** Removes the zone that Node adds to link-local addresses. */
function withoutZone(address: string | undefined): string | undefined {
  const zone = address?.indexOf("%") ?? -1;
  return zone < 0 ? address : address?.slice(0, zone);
}

// Parsing an IPv6 address takes longer than the rest of a verification.
const MAX_CACHED = 4_096;
const parseCached = memoize(parseUncached, MAX_CACHED);

function parseAddress(text: string | undefined): ClientIp | undefined {
  if (text === undefined) return undefined;
  return text.includes(":") ? parseCached(text) : parseUncached(text);
}

function parseUncached(text: string): ClientIp | undefined {
  const ip = parseIp(text);
  return ip === undefined ? undefined : { text: formatIp(text, ip), ip };
}

function parseXForwardedFor(field: string): readonly string[] {
  return field.split(",").map(trimOws);
}

function parseSingleAddress(field: string): readonly string[] {
  return [trimOws(field)];
}

// RFC 7239, section 4: forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] )
const PAIR = new RegExp(`[ \\t]*(?:(${TOKEN})=(?:(${TOKEN})|"((?:[^"\\\\]|\\\\.)*)")[ \\t]*)?([;,]|$)`, "y");

/** Returns the `for` node of every element, left to right; `undefined` if the field breaks the grammar. */
function parseForwarded(field: string): readonly string[] | undefined {
  const nodes: string[] = [];
  let node: string | undefined;
  PAIR.lastIndex = 0;
  while (true) {
    const match = PAIR.exec(field);
    if (match === null) return undefined;
    const [, name, token, quoted, end] = match;
    if (name?.toLowerCase() === "for") {
      if (node !== undefined) return undefined; // section 4: a parameter occurs at most once in an element
      node = token ?? (quoted as string).replace(/\\(.)/gs, "$1");
    }
    if (end === ";") continue;
    // An element without "for" is an unknown hop, and so an invalid address.
    nodes.push(nodeAddress(node ?? ""));
    node = undefined;
    if (end === "") return nodes;
  }
}

/** Returns the address of a node (RFC 7239, 6) such as `192.0.2.1:80` or `[2001:db8::1]:80`; invalid nodes stay invalid. */
function nodeAddress(node: string): string {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(?:\d{1,5}|_[A-Za-z0-9._-]+))?$/.exec(node);
  return match?.[1]?.includes(":") ? match[1] : (match?.[2] ?? "");
}
