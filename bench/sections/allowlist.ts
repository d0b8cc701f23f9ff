// What an allowlist of networks costs a verification, and one address against a list, three ways.

import { BlockList } from "node:net";
import ipaddr from "ipaddr.js";
import { createVerifier, createVerifierKit, judgeNetwork } from "../../dist/index.js";
import { memoryStore } from "../../dist/stores/memory.js";
import { differences, interleave, median, quotients, type Variant } from "../measure.js";
import { ratioRow, short, tell } from "../rows.js";
import { drawer, fill, flat, format, SCOPE, scopes } from "../service.js";

const SIZES = [1, 10, 100, 1_000];
const KEYS = 1_000;

interface Family {
  readonly name: string;
  /** The network of this number, and an address in it. */
  network(index: number): { readonly cidr: string; readonly address: string };
}

const FAMILIES: readonly Family[] = [
  {
    name: "IPv4",
    network: (index) => ({
      cidr: `10.${index >> 7}.${(index * 2) & 255}.0/24`,
      address: `10.${index >> 7}.${(index * 2) & 255}.${index % 250}`,
    }),
  },
  {
    name: "IPv6",
    network: (index) => ({
      cidr: `2001:db8:${(index * 2).toString(16)}::/48`,
      address: `2001:db8:${(index * 2).toString(16)}::${(index % 250).toString(16)}:1`,
    }),
  },
  {
    name: "mapped IPv4",
    network: (index) => ({
      cidr: `10.${index >> 7}.${(index * 2) & 255}.0/24`,
      address: `::ffff:10.${index >> 7}.${(index * 2) & 255}.${index % 250}`,
    }),
  },
];

for (const family of FAMILIES) {
  await verifications(family);
  await checks(family);
}

/** Verifications of keys with lists of each size, against those of keys without one. */
async function verifications({ name, network }: Family): Promise<void> {
  const none = "verify, no allowlist";
  const variants: Variant[] = [];
  for (const size of [0, ...SIZES]) {
    const store = memoryStore();
    const networks = Array.from({ length: size }, (_, index) => network(index));
    const ipAllowlist = size === 0 ? null : networks.map(({ cidr }) => cidr);
    const keys = await fill(store, KEYS, { ipAllowlist });
    const verifier = createVerifier({ store, scopes, format });
    const addresses = size === 0 ? [network(0).address] : networks.map(({ address }) => address);
    const draw = drawer(
      keys.map(({ secret }, index) => ({
        headers: { authorization: flat(`Bearer ${secret}`) },
        remoteAddress: flat(addresses[(index * 7) % addresses.length] as string),
      })),
    );
    variants.push({
      name: size === 0 ? none : String(size),
      async run(times) {
        for (let index = 0; index < times; index++) {
          const result = await verifier.verify(draw(), SCOPE);
          if (!result.ok) throw new Error(`An address of the list was refused: ${result.error.code}`);
        }
      },
    });
  }
  const samples = await interleave(variants, { seconds: 3 });
  for (const size of SIZES) {
    const what = `verify, ${size.toLocaleString("en")} CIDRs, ${name}`;
    const row = ratioRow("allowlist", what, none, quotients(samples, String(size), none));
    const more = median(differences(samples, String(size), none));
    tell({
      ...row,
      figure: `${row.figure}, ${more < 0 ? "0" : `+${short(more)}`} us`,
      ...(size === 1_000 && { goal: "at most +1 us", met: more <= 1 }),
    });
  }
}

/** One address against a list that is compiled already. */
async function checks({ name, network }: Family): Promise<void> {
  const { clientIp } = createVerifierKit({ scopes }, { where: "bench", noun: "key" });
  for (const size of [10, 1_000]) {
    const networks = Array.from({ length: size }, (_, index) => network(index));
    const record = {
      id: "key",
      hash: "hash",
      ownerId: "owner",
      scopes: [],
      ipAllowlist: Object.freeze(networks.map(({ cidr }) => cidr)),
    };
    const blockList = new BlockList();
    const parsed = networks.map(({ cidr }) => ipaddr.parseCIDR(cidr));
    for (const { cidr } of networks) {
      const [address = "", bits] = cidr.split("/");
      blockList.addSubnet(address, Number(bits), address.includes(":") ? "ipv6" : "ipv4");
    }
    const draw = drawer(networks.map(({ address }) => ({ headers: {}, remoteAddress: flat(address) })));
    const variant = (title: string, isIn: (request: { remoteAddress: string }) => boolean): Variant => ({
      name: title,
      run(times) {
        for (let index = 0; index < times; index++) if (!isIn(draw())) throw new Error(`${title} refused`);
      },
    });
    const samples = await interleave(
      [
        variant(
          "ours",
          (request) => judgeNetwork(record, { headers: {}, ...request }, clientIp) === undefined,
        ),
        variant("net.BlockList", ({ remoteAddress }) =>
          blockList.check(remoteAddress, remoteAddress.includes(":") ? "ipv6" : "ipv4"),
        ),
        variant("an ipaddr.js loop", ({ remoteAddress }) => {
          const address = ipaddr.process(remoteAddress);
          return parsed.some((cidr) => address.kind() === cidr[0].kind() && address.match(cidr));
        }),
      ],
      { seconds: 1 },
    );
    for (const peer of ["net.BlockList", "an ipaddr.js loop"]) {
      const what = `${peer}, ${size.toLocaleString("en")} CIDRs, ${name}`;
      tell(ratioRow("allowlist", what, "our check", quotients(samples, peer, "ours")));
    }
  }
}
