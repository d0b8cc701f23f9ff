// The cost of an allowlist in a verification, and of checking one address in three implementations.

import { BlockList } from "node:net";
import ipaddr from "ipaddr.js";
import { createVerifier } from "../../dist/index.js";
import { checkNetwork, clientIpResolver } from "../../dist/kit.js";
import { memoryStore } from "../../dist/stores/memory.js";
import { differences, interleave, median, ratios, type Variant } from "../measure.js";
import { format3, printRow, ratioRow } from "../rows.js";
import { createPicker, fill, flat, format, SCOPE, scopes } from "../service.js";

const SIZES = [1, 10, 100, 1_000];
const KEYS = 1_000;

interface Family {
  readonly name: string;
  /** Returns the network with a number, and an address in it. */
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
  await measureVerification(family);
  await measureCheck(family);
}

/** Compares verifications with allowlists of each size and without one. */
async function measureVerification({ name, network }: Family): Promise<void> {
  const baseline = "verify, no allowlist";
  const variants: Variant[] = [];
  for (const size of [0, ...SIZES]) {
    const store = memoryStore();
    const networks = Array.from({ length: size }, (_, index) => network(index));
    const ipAllowlist = size === 0 ? null : networks.map(({ cidr }) => cidr);
    const keys = await fill(store, KEYS, { ipAllowlist });
    const verifier = createVerifier({ store, scopes, format });
    const addresses = size === 0 ? [network(0).address] : networks.map(({ address }) => address);
    const pick = createPicker(
      keys.map(({ secret }, index) => ({
        headers: { authorization: flat(`Bearer ${secret}`) },
        remoteAddress: flat(addresses[(index * 7) % addresses.length] as string),
      })),
    );
    variants.push({
      name: size === 0 ? baseline : String(size),
      async run(count) {
        for (let index = 0; index < count; index++) {
          const result = await verifier.verify(pick(), SCOPE);
          if (!result.ok) throw new Error(`An allowed address was denied: ${result.error.code}`);
        }
      },
    });
  }
  const samples = await interleave(variants, { seconds: 3 });
  for (const size of SIZES) {
    const measured = `verify, ${size.toLocaleString("en")} CIDRs, ${name}`;
    const row = ratioRow("allowlist", measured, baseline, ratios(samples, String(size), baseline));
    const difference = median(differences(samples, String(size), baseline));
    printRow({
      ...row,
      figure: `${row.figure}, ${difference < 0 ? "0" : `+${format3(difference)}`} us`,
      ...(size === 1_000 && { goal: "at most +1 us", met: difference <= 1 }),
    });
  }
}

/** Compares checks of one address with a compiled list. */
async function measureCheck({ name, network }: Family): Promise<void> {
  const clientIp = clientIpResolver({});
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
    const pick = createPicker(networks.map(({ address }) => ({ headers: {}, remoteAddress: flat(address) })));
    const variant = (title: string, isAllowed: (request: { remoteAddress: string }) => boolean): Variant => ({
      name: title,
      run(count) {
        for (let index = 0; index < count; index++)
          if (!isAllowed(pick())) throw new Error(`${title} denied an allowed address`);
      },
    });
    const samples = await interleave(
      [
        variant(
          "ours",
          (request) => checkNetwork(record, { headers: {}, ...request }, clientIp) === undefined,
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
      const measured = `${peer}, ${size.toLocaleString("en")} CIDRs, ${name}`;
      printRow(ratioRow("allowlist", measured, "our check", ratios(samples, peer, "ours")));
    }
  }
}
