import { type ApiKey, KeyInputError, KeyStateError } from "../../../src/index.js";
import {
  ADDRESSES,
  type Address,
  admits,
  type Ceiling,
  ceilingOf,
  ENVIRONMENTS,
  type Environment,
  holds,
  isLimitedWithin,
  MATRIX,
  NETWORKS,
  SCOPES,
  type Scope,
  type Sent,
} from "./oracle.js";
import { createRandom, type Random } from "./random.js";
import { call, OWN, PARTNER, requestOf, type World, worldOf } from "./world.js";

/** A key, or a token of a key, that comes from the root. */
export interface Node {
  readonly name: string;
  readonly credential: string;
  readonly keyId: string;
  readonly environment: Environment;
  /** How many keys and tokens lie between the root and this one. A successor is as deep as the key it replaces. */
  readonly depth: number;
  /** What the credential that made or last changed the key could do then. `undefined` for the operator. */
  ceiling: Ceiling | undefined;
  readonly token: TokenFacts | undefined;
}

interface TokenFacts {
  readonly scopes: readonly string[];
  readonly audience: readonly string[];
  readonly expiresAt: number;
  revoked: boolean;
}

/** Counts what happened, so that a run shows whether it tested everything. */
export type Counters = Map<string, number>;

/** A credential was allowed what its root, its creator or its key was not. */
export class Violation extends Error {
  override readonly name = "Violation";
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const LIFETIMES = [1_000, 5 * MINUTE, HOUR, 720 * HOUR];
const LIMITS = [
  { limit: 2, windowSeconds: 60 },
  { limit: 5, windowSeconds: 60 },
  { limit: 5, windowSeconds: 3_600 },
  { limit: 100, windowSeconds: 60 },
];
const OVERLAPS = ["0s", "1m", "1h"] as const;

/** Makes a random chain of keys and tokens from one root, and checks every credential after every step. */
export async function runChain(
  seed: number,
  counters: Counters,
  log?: (line: string) => void,
): Promise<void> {
  const chain = new Chain(createRandom(seed), counters, log);
  await chain.run();
}

class Chain {
  readonly #random: Random;
  readonly #counters: Counters;
  readonly #log: (line: string) => void;
  readonly #world: World;
  readonly #nodes: Node[] = [];
  /** Every state that the operator gave to the root. */
  readonly #rootStates: Ceiling[] = [];
  readonly #rootIds = new Set<string>();

  constructor(random: Random, counters: Counters, log: (line: string) => void = () => {}) {
    this.#random = random;
    this.#counters = counters;
    this.#log = log;
    this.#world = worldOf(random.chance(0.9), (event) => {
      if (event.type === "auth.denied") this.#count(`denied: ${event.reason}`);
    });
  }

  async run(): Promise<void> {
    await this.#createRoot();
    const spine = this.#random.integer(6);
    const steps = 6 + this.#random.integer(8);
    for (let step = 0; step < spine + steps; step++) {
      if (step < spine) await this.#extend();
      else await this.#step();
      for (const node of this.#nodes) {
        for (let count = 0; count < 4; count++) await this.#check(node, this.#random.pick(MATRIX));
      }
    }
    for (const node of this.#nodes) {
      const [meant, others] = partition(MATRIX, (sent) => isMeantFor(node, sent));
      for (const sent of [...meant, ...this.#sample(others, 6)]) await this.#check(node, sent);
    }
    await this.#checkLimits();
    for (const move of [2 * MINUTE, 30 * MINUTE]) {
      this.#moveClock(move);
      for (const node of this.#nodes) {
        const meant = MATRIX.filter((sent) => isMeantFor(node, sent));
        for (const sent of this.#sample(meant, 6)) await this.#check(node, sent);
      }
    }
    const depth = Math.max(...this.#nodes.map((node) => node.depth));
    this.#count(`chains of depth ${depth < 3 ? depth : "3 or more"}`);
  }

  async #createRoot(): Promise<void> {
    const random = this.#random;
    const environment = random.pick(ENVIRONMENTS);
    const { secret, key } = await this.#world.keys.create({
      ownerId: `owner-${random.integer(2 ** 32)}`,
      environment,
      scopes: ["keys:manage", ...random.some(SCOPES.slice(1))],
      ipAllowlist: random.chance(0.4) ? null : this.#networks(),
      expiresAt: random.chance(0.5) ? null : new Date(this.#now() + random.pick([HOUR, 720 * HOUR])),
      rateLimit: random.chance(0.5) ? null : random.pick(LIMITS),
    });
    this.#rootIds.add(key.id);
    this.#rootStates.push(ceilingOf(key));
    this.#add({
      credential: secret,
      keyId: key.id,
      environment,
      depth: 0,
      ceiling: undefined,
      token: undefined,
    });
  }

  /** The last key is exchanged for a token, or the last token makes a key. */
  #extend(): Promise<void> {
    const last = this.#nodes.at(-1) as Node;
    return last.token === undefined ? this.#exchange(last) : this.#create(last);
  }

  #step(): Promise<void> {
    const random = this.#random;
    const steps: readonly (() => Promise<void>)[] = [
      () => this.#create(),
      () => this.#create(),
      () => this.#create(),
      () => this.#exchange(),
      () => this.#exchange(),
      () => this.#exchange(),
      () => this.#change("update"),
      () => this.#change("update"),
      () => this.#change("rotate"),
      () => this.#change("enable"),
      () => this.#operate(),
      () => this.#operate(),
      async () =>
        this.#moveClock(
          random.chance(0.1) ? -MINUTE : random.pick([1_000, 10_000, MINUTE, 5 * MINUTE, HOUR]),
        ),
      () => (random.chance(0.4) ? this.#change(random.pick(["disable", "revoke"])) : this.#revokeToken()),
    ];
    return random.pick(steps)();
  }

  /** A key or token creates a key. */
  async #create(creator: Node = this.#creator()): Promise<void> {
    const random = this.#random;
    const bounds = await this.#ceilingOf(creator);
    const isWild = random.chance(0.3);
    const scopes = isWild
      ? random.some(SCOPES)
      : [...bounds.scopes].filter((scope) => scope === "keys:manage" || random.chance(0.7));
    const body = {
      scopes,
      ...(random.chance(isWild ? 0.4 : 0.2) && { ipAllowlist: random.chance(0.2) ? null : this.#networks() }),
      ...(random.chance(isWild ? 0.4 : 0.1) && { expiresAt: this.#expiry() }),
      ...(random.chance(isWild ? 0.4 : 0.1) && {
        rateLimit: random.chance(0.2) ? null : random.pick(LIMITS),
      }),
      ...(random.chance(isWild ? 0.5 : 0.1) && { environment: random.pick(ENVIRONMENTS) }),
    };
    const { status, body: reply } = await this.#call(creator, bounds, "POST /api-keys", body);
    if (status !== 201) return;
    this.#addKey(reply, creator.depth + 1, bounds);
  }

  /** A credential changes a key of the chain, or its own, through the management API. */
  async #change(action: "update" | "rotate" | "enable" | "disable" | "revoke"): Promise<void> {
    const random = this.#random;
    const [creator, target] = [this.#creator(), random.pick(this.#nodes)];
    const bounds = await this.#ceilingOf(creator);
    const path = `/api-keys/${target.keyId}`;
    const change = random.pick([
      { ipAllowlist: random.chance(0.3) ? null : this.#networks() },
      { expiresAt: this.#expiry() },
      { rateLimit: random.chance(0.3) ? null : random.pick(LIMITS) },
    ]);
    const lines: Readonly<Record<typeof action, readonly [line: string, json?: unknown]>> = {
      update: [`PATCH ${path}`, change],
      rotate: [`POST ${path}/rotate`, { overlap: random.pick(OVERLAPS) }],
      enable: [`POST ${path}/enable`],
      disable: [`POST ${path}/disable`],
      revoke: [`DELETE ${path}`],
    };
    const { status, body } = await this.#call(creator, bounds, ...lines[action]);
    if (status >= 300) return;
    if (action === "rotate") {
      if (this.#rootIds.has(target.keyId)) this.#rootIds.add(body.key.id);
      this.#addKey(body, target.depth, bounds);
    } else if (action !== "disable" && action !== "revoke") {
      for (const node of this.#nodes) {
        if (node.keyId === target.keyId && node.token === undefined) node.ceiling = bounds;
      }
    }
  }

  /** A key is exchanged for a token. Tokens try it too, and are refused. */
  async #exchange(creator: Node = this.#creator()): Promise<void> {
    const random = this.#random;
    const bounds = await this.#ceilingOf(creator);
    const isWild = random.chance(0.2);
    const some = isWild
      ? random.some(SCOPES)
      : bounds.scopes.filter((scope) => scope === "keys:manage" || random.chance(0.5));
    const names = random.chance(0.5) || some.length === 0 ? undefined : some;
    const audience = random.pick([[OWN], [OWN], [OWN], [PARTNER], [OWN, PARTNER]]);
    const result = await this.#world.services[creator.environment].tokens.exchange({
      request: requestOf(creator.credential, this.#address(bounds)),
      ...(names === undefined ? {} : { scope: names as Scope[] }),
      audience,
    });
    this.#log(`${creator.name} exchanges ${names} for ${audience}: ${result.ok ? "ok" : result.error.code}`);
    this.#count(`exchange of a ${kindOf(creator)}: ${result.ok ? "allowed" : result.error.code}`);
    if (!result.ok) return;
    if (creator.token !== undefined) throw new Violation(`${creator.name} was exchanged for another token`);
    if (names !== undefined) this.#count("token with narrowed scopes");
    this.#add({
      ...{ credential: result.accessToken, keyId: creator.keyId, environment: creator.environment },
      ...{ depth: creator.depth + 1, ceiling: undefined },
      token: {
        scopes: names ?? result.scopes,
        audience,
        expiresAt: result.expiresAt.getTime(),
        revoked: false,
      },
    });
  }

  async #revokeToken(): Promise<void> {
    const node = this.#nodes.find(({ token }) => token !== undefined && !token.revoked);
    const owner = this.#nodes.find(({ keyId, token }) => keyId === node?.keyId && token === undefined);
    if (node?.token === undefined || owner === undefined) return;
    const address = this.#address(await this.#ceilingOf(owner));
    const response = await this.#world.services[owner.environment].tokens.revoke(
      new Request("http://localhost/revoke", {
        method: "POST",
        headers: { authorization: `Bearer ${owner.credential}` },
        body: new URLSearchParams({ token: node.credential }),
      }),
      address === undefined ? {} : { remoteAddress: address },
    );
    if (response.status !== 200 || !(await this.#isAlive(owner))) return;
    this.#log(`${owner.name} revokes ${node.name}`);
    this.#count("token revoked");
    node.token.revoked = true;
  }

  /** The operator changes the root in any way, and other keys in ways that give them nothing. */
  async #operate(): Promise<void> {
    const random = this.#random;
    const { keys } = this.#world;
    const target = random.chance(0.4) ? (this.#nodes[0] as Node) : random.pick(this.#nodes);
    const isRoot = this.#rootIds.has(target.keyId);
    const id = target.keyId;
    const { ipAllowlist } = (await keys.get(id)) as ApiKey;
    const narrower = ipAllowlist === null ? this.#networks() : random.some(ipAllowlist);
    const actions: Readonly<Record<string, () => Promise<unknown>>> = {
      "changes the networks of": () =>
        keys.update(id, { ipAllowlist: isRoot && random.chance(0.3) ? this.#networks() : narrower }),
      disables: () => keys.disable(id),
      enables: () => keys.enable(id),
      rotates: async () => {
        const issued = await keys.rotate(id, { overlap: random.pick(OVERLAPS) });
        if (isRoot) this.#rootIds.add(issued.key.id);
        this.#addKey(issued, target.depth, isRoot ? undefined : target.ceiling);
      },
      revokes: () => keys.revoke(id),
      ...(isRoot && {
        "changes the expiry of": () => keys.update(id, { expiresAt: new Date(this.#now() + HOUR) }),
        "changes the limit of": () => keys.update(id, { rateLimit: random.pick(LIMITS) }),
      }),
    };
    const name = random.pick(Object.keys(actions));
    try {
      await actions[name]?.();
    } catch (error) {
      if (!(error instanceof KeyStateError || error instanceof KeyInputError)) throw error;
      return;
    }
    this.#log(`the operator ${name} ${target.name}`);
    this.#count(`the operator ${name} ${isRoot ? "the root" : "a descendant"}`);
    if (!isRoot) return;
    for (const node of this.#nodes) {
      if (node.token !== undefined || !this.#rootIds.has(node.keyId)) continue;
      if (node.keyId === id) node.ceiling = undefined; // the operator may give the root anything
      if (node.ceiling === undefined)
        this.#rootStates.push(ceilingOf((await keys.get(node.keyId)) as ApiKey));
    }
  }

  /** Sends a request, and compares the verdict with those that bound it. */
  async #check(node: Node, sent: Sent): Promise<void> {
    const { ok } = await this.#world.verify(node.credential, sent);
    this.#count(ok ? `allowed at depth ${Math.min(node.depth, 3)}` : "denied");
    if (!ok) return;
    const time = this.#now();
    const fail = (what: string): never => {
      const { scope, address, environment, audience } = sent;
      throw new Violation(
        `${node.name} may use ${scope} from ${address} in ${environment} at ${audience}, but ${what}`,
      );
    };
    const { rateLimit } = (await this.#world.keys.get(node.keyId)) as ApiKey;
    const within = (ceiling: Ceiling) =>
      admits(ceiling, sent, time) &&
      (node.token !== undefined || isLimitedWithin(rateLimit, ceiling.rateLimit));
    if (!this.#rootStates.some(within)) fail("no state of the root allows it");
    if (node.ceiling !== undefined && !within(node.ceiling)) fail("its creator could not grant it");
    if (node.token === undefined) {
      if (sent.audience !== "own") fail("keys are for the issuer only");
      return;
    }
    const { scopes, audience, expiresAt, revoked } = node.token;
    if (!holds(scopes, sent.scope)) fail("it was not issued for the scope");
    if (!audience.includes(sent.audience === "own" ? OWN : PARTNER))
      fail("it was issued for another audience");
    if (!(time < expiresAt)) fail("it is expired");
    if (revoked && sent.audience === "own") fail("it is revoked");
    const key = this.#nodes.find(({ keyId, token }) => keyId === node.keyId && token === undefined) as Node;
    const ofKey = await this.#world.verify(key.credential, { ...sent, audience: "own" });
    if (!ofKey.ok) fail(`its key is denied with ${ofKey.error.code}`);
  }

  /** A key and its tokens share one limit. */
  async #checkLimits(): Promise<void> {
    for (const node of this.#nodes) {
      const { rateLimit } = (await this.#world.keys.get(node.keyId)) as ApiKey;
      if (node.token !== undefined || rateLimit === null || rateLimit.limit > 5) continue;
      const { limited, tokens } = this.#world.services[node.environment];
      const address = this.#address(await this.#ceilingOf(node));
      const exchanged = await tokens.exchange({ request: requestOf(node.credential, address) });
      if (!exchanged.ok) continue;
      let allowed = 0;
      for (let count = 0; count <= 2 * rateLimit.limit; count++) {
        const credential = count % 2 === 0 ? exchanged.accessToken : node.credential;
        if ((await limited.verify(requestOf(credential, address))).ok) allowed += 1;
      }
      if (allowed > rateLimit.limit) throw new Violation(`${node.name} and its token exceed their limit`);
      this.#count("limit of a key and its token checked");
    }
  }

  async #call(creator: Node, bounds: Ceiling, line: string, json?: unknown) {
    const service = this.#world.services[creator.environment];
    const reply = await call(service, line, creator.credential, this.#address(bounds), json);
    this.#log(`${creator.name}: ${line} ${JSON.stringify(json)}: ${reply.status} ${reply.body.code ?? ""}`);
    const action = line.replace(/key_[^/]+/, "id");
    const paths = reply.body.errors?.map(({ path }: { path: string }) => path).join() ?? "";
    const outcome = reply.status < 300 ? "done" : `${reply.body.code} ${paths}`.trim();
    this.#count(`${action} by a ${kindOf(creator)}: ${outcome}`);
    return reply;
  }

  /** Prefers deep credentials. */
  #creator(): Node {
    return this.#random.pick(this.#random.chance(0.6) ? this.#nodes.slice(-3) : this.#nodes);
  }

  /** What a credential may do now, if it is neither revoked nor disabled. */
  async #ceilingOf(node: Node): Promise<Ceiling> {
    const own = ceilingOf((await this.#world.keys.get(node.keyId)) as ApiKey);
    if (node.token === undefined) return own;
    const { scopes, expiresAt } = node.token;
    return { ...own, scopes, expiresAt: Math.min(own.expiresAt, expiresAt) };
  }

  async #isAlive(node: Node): Promise<boolean> {
    const status = (await this.#world.keys.get(node.keyId))?.status;
    return status === "active" || status === "retiring";
  }

  /** As a rule, an address that the credential may use. */
  #address({ networks }: Ceiling): Address {
    if (this.#random.chance(0.1)) return this.#random.pick(ADDRESSES);
    const network = networks === null ? "10.1.2.3" : networks[0];
    return NETWORKS[network ?? "10.1.2.3"]?.[0];
  }

  #sample<T>(items: readonly T[], count: number): T[] {
    return Array.from({ length: count }, () => this.#random.pick(items));
  }

  #networks(): string[] {
    return this.#random.some(Object.keys(NETWORKS));
  }

  #expiry(): string | null {
    return this.#random.chance(0.3)
      ? null
      : new Date(this.#now() + this.#random.pick(LIFETIMES)).toISOString();
  }

  #now(): number {
    return this.#world.clock.now().getTime();
  }

  #moveClock(by: number): void {
    this.#world.clock.set(this.#now() + by);
    this.#log(`the clock moves by ${by} ms`);
    if (by < 0) this.#count("clock set back");
  }

  #addKey(
    issued: { secret: string; key: { id: string; environment: string | null } },
    depth: number,
    ceiling: Ceiling | undefined,
  ): void {
    const { secret, key } = issued;
    const environment = key.environment as Environment;
    this.#add({ credential: secret, keyId: key.id, environment, depth, ceiling, token: undefined });
  }

  #add(node: Omit<Node, "name">): void {
    const name = `${node.token === undefined ? "key" : "token"} ${this.#nodes.length} of depth ${node.depth}`;
    this.#log(`${name}: ${node.keyId} ${JSON.stringify(node.token ?? {})}`);
    this.#nodes.push({ name, ...node });
  }

  #count(name: string): void {
    this.#counters.set(name, (this.#counters.get(name) ?? 0) + 1);
  }
}

/** Whether a request is for the environment and the audience of a credential. Others are denied, but not cached. */
function isMeantFor({ environment, token }: Node, sent: Sent): boolean {
  const audience = sent.audience === "own" ? OWN : PARTNER;
  return sent.environment === environment && (token?.audience ?? [OWN]).includes(audience);
}

function partition<T>(items: readonly T[], isFirst: (item: T) => boolean): [T[], T[]] {
  return [items.filter(isFirst), items.filter((item) => !isFirst(item))];
}

function kindOf({ token }: Node): "key" | "token" {
  return token === undefined ? "key" : "token";
}
