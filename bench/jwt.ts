// What a JWT costs, verified for the first time and again.
//
//   node --import tsx bench/jwt.ts [rounds]
//
// Every way takes its turn in each round, in one process, so that none has a quieter machine than the others. The
// figures are medians over the rounds, in microseconds a token: by the clock on the wall, and in brackets in time of
// the processor, which other processes do not add to (but threads of Node's own do).

import { generateKeyPairSync } from "node:crypto";
import { availableParallelism, loadavg } from "node:os";
import { jwtVerify, SignJWT } from "jose";
import { defineScopes } from "../src/index.js";
import { createJwtVerifier } from "../src/jwt/index.js";

const ROUNDS = Number(process.argv[2] ?? 41);
const [issuer, audience] = ["https://login.example.com", "https://api.example.com"];
const scopes = defineScopes({ "vehicles:read": {}, "vehicles:write": { implies: ["vehicles:read"] } });

interface Way {
  readonly name: string;
  readonly times: number;
  readonly run: () => Promise<unknown>;
}

async function waysOf(alg: string, { publicKey, privateKey }: ReturnType<typeof generateKeyPairSync>) {
  const token = await new SignJWT({ scope: "openid profile vehicles:write", email: "someone@example.com" })
    .setProtectedHeader({ alg, kid: "2030-01", typ: "at+jwt" })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject("auth0|5f7c8ec7c33c6c004bbafe82")
    .setJti("f1a9e1e2-3c5b-4b0e-9a51-1f1d0f2c7e11")
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(privateKey);
  const request = { headers: { authorization: `Bearer ${token}` } };
  const options = { issuer, audience, algorithms: [alg], key: publicKey, scopes };
  const cached = createJwtVerifier(options);
  const uncached = createJwtVerifier({ ...options, cacheMax: 0 });
  const ways: Way[] = [
    { name: "remembered, whole verify()", times: 2_000, run: () => cached.verify(request, "vehicles:read") },
    { name: "first time, whole verify()", times: 50, run: () => uncached.verify(request, "vehicles:read") },
    {
      name: "jose.jwtVerify alone",
      times: 50,
      run: () => jwtVerify(token, publicKey, { issuer, audience, algorithms: [alg] }),
    },
  ];
  return { title: `${alg}, ${token.length} characters`, ways };
}

const median = (list: readonly number[]) =>
  [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] as number;
const load = () =>
  loadavg()
    .map((one) => one.toFixed(1))
    .join(" ");

const sets = [
  await waysOf("RS256", generateKeyPairSync("rsa", { modulusLength: 2048 })),
  await waysOf("ES256", generateKeyPairSync("ec", { namedCurve: "P-256" })),
];
const before = load();
const figures = new Map<Way, { wall: number[]; cpu: number[] }>();
for (let round = -3; round < ROUNDS; round++) {
  for (const way of sets.flatMap(({ ways }) => ways)) {
    const [wall, cpu] = [performance.now(), process.cpuUsage()];
    for (let i = 0; i < way.times; i++) await way.run();
    const { user, system } = process.cpuUsage(cpu);
    const took = performance.now() - wall;
    if (round < 0) continue; // to warm up
    const figure = figures.get(way) ?? { wall: [], cpu: [] };
    figures.set(way, figure);
    figure.wall.push((took * 1_000) / way.times);
    figure.cpu.push((user + system) / way.times);
  }
}
for (const { title, ways } of sets) {
  console.log(title);
  for (const way of ways) {
    const { wall, cpu } = figures.get(way) as { wall: number[]; cpu: number[] };
    console.log(
      `  ${way.name.padEnd(30)} ${median(wall).toFixed(2).padStart(8)} µs  (${median(cpu).toFixed(2)})`,
    );
  }
}
console.log(
  `Node ${process.versions.node}, ${availableParallelism()} CPUs, load before ${before}, after ${load()}`,
);
