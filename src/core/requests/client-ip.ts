import { memoize } from "../../internal/memoize.js";
import { type CidrList, cidrProblem, compileCidrs, formatIp, type IpAddress, parseIp } from "./cidr.js";
import { type AuthRequest, headerCount, headerValue, trimOws } from "./request.js";

/** Names for networks that proxies often live in. */
const NAMED: Readonly<Record<string, readonly string[]>> = {
  loopback: ["127.0.0.0/8", "::1/128"],
  linklocal: ["169.254.0.0/16", "fe80::/10"],
  uniquelocal: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
};

/** Which proxies are believed, and the header they write. */
export interface ClientIpOptions {
  /**
   * Networks of the proxies that stand between clients and this service: CIDRs, or `"loopback"`,
   * `"linklocal"`, `"uniquelocal"`. None by default: the client is whoever opened the socket.
   */
  readonly trustedProxies?: readonly string[];
  /**
   * The header that those proxies write: `"x-forwarded-for"` (the default), `"forwarded"` (RFC 7239), or the
   * name of a header that holds one address, such as `"cf-connecting-ip"`.
   */
  readonly clientIpHeader?: "x-forwarded-for" | "forwarded" | (string & {});
}

/** An address, and how people write it. */
interface ClientIp {
  readonly text: string;
  readonly ip: IpAddress;
}

/** The address of the client, or `undefined` when it cannot be known for sure. */
export type ClientIpResolver = (request: AuthRequest) => ClientIp | undefined;

/**
 * Finds the client behind trusted proxies. The chain is walked from the socket outwards, and the first
 * address that is no trusted proxy is the client: what a client wrote into the header itself stands to the
 * left of that and is never read. Anything unreadable on the way makes the address unknown.
 *
 * @throws TypeError for networks that cannot be read, and for a header without proxies to believe.
 */
export function clientIpResolver(options: ClientIpOptions): ClientIpResolver {
  const { trustedProxies = [], clientIpHeader } = options;
  const trusted = compileProxies(trustedProxies);
  if (clientIpHeader !== undefined) {
    if (typeof clientIpHeader !== "string" || !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(clientIpHeader)) {
      throw new TypeError('"clientIpHeader" must be the name of a header');
    }
    if (trustedProxies.length === 0) {
      throw new TypeError('"clientIpHeader" needs "trustedProxies": a header from anybody proves nothing');
    }
  }
  const header = (clientIpHeader ?? "x-forwarded-for").toLowerCase();
  const chainOf =
    header === "x-forwarded-for" ? splitList : header === "forwarded" ? parseForwarded : singleAddress;

  return (request) => {
    let client = readAddress(withoutZone(request.remoteAddress));
    if (client === undefined || !trusted.includes(client.ip)) return client;
    if (request.headersTruncated === true) return undefined;
    // Lines of a header that must be single, or that a Headers object has joined, are not told apart below.
    if (chainOf === singleAddress && headerCount(request, header) > 1) return undefined;
    const field = headerValue(request, header);
    if (field === undefined) return client;
    const chain = chainOf(field);
    if (chain === undefined) return undefined;
    for (let i = chain.length - 1; i >= 0; i--) {
      client = readAddress(chain[i]);
      if (client === undefined || !trusted.includes(client.ip)) return client;
    }
    return client;
  };
}

function compileProxies(names: readonly string[]): CidrList {
  if (!Array.isArray(names)) throw new TypeError('"trustedProxies" must be a list of networks');
  return compileCidrs(
    names.flatMap((name, index) => {
      if (typeof name === "string" && Object.hasOwn(NAMED, name)) return NAMED[name] as readonly string[];
      const problem = cidrProblem(name);
      if (problem === undefined) return [name];
      throw new TypeError(`"trustedProxies[${index}]" ${problem}`);
    }),
  );
}

/** Node adds the zone to link-local addresses. */
function withoutZone(address: string | undefined): string | undefined {
  const zone = address?.indexOf("%") ?? -1;
  return zone < 0 ? address : address?.slice(0, zone);
}

// What an IPv6 address says takes longer to read than a whole verification; clients come back.
const MAX_REMEMBERED = 4_096;
const readIpv6 = memoize(readText, MAX_REMEMBERED);

function readAddress(text: string | undefined): ClientIp | undefined {
  if (text === undefined) return undefined;
  return text.includes(":") ? readIpv6(text) : readText(text);
}

function readText(text: string): ClientIp | undefined {
  const ip = parseIp(text);
  return ip === undefined ? undefined : { text: formatIp(text, ip), ip };
}

function splitList(field: string): readonly string[] {
  return field.split(",").map(trimOws);
}

function singleAddress(field: string): readonly string[] {
  return [trimOws(field)];
}

// RFC 7239, section 4: forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] )
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const PAIR = new RegExp(`[ \\t]*(?:(${TOKEN})=(?:(${TOKEN})|"((?:[^"\\\\]|\\\\.)*)")[ \\t]*)?([;,]|$)`, "y");

/** The `for` node of every element from left to right; `undefined` when the field breaks the grammar. */
function parseForwarded(field: string): readonly string[] | undefined {
  const nodes: string[] = [];
  let node: string | undefined;
  PAIR.lastIndex = 0;
  while (true) {
    const match = PAIR.exec(field);
    if (match === null) return undefined;
    const [, name, token, quoted, end] = match;
    if (name?.toLowerCase() === "for") {
      if (node !== undefined) return undefined; // 4: each parameter at most once in an element
      node = token ?? (quoted as string).replace(/\\(.)/gs, "$1");
    }
    if (end === ";") continue;
    // An element without "for" hides a hop of the chain.
    nodes.push(nodeAddress(node ?? ""));
    node = undefined;
    if (end === "") return nodes;
  }
}

/** The address in a node of RFC 7239, section 6: `192.0.2.1:80`, `[2001:db8::1]:80`; others stay unreadable. */
function nodeAddress(node: string): string {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(?:\d{1,5}|_[A-Za-z0-9._-]+))?$/.exec(node);
  return match?.[1]?.includes(":") ? match[1] : (match?.[2] ?? "");
}
