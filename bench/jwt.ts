// The time to verify a JWT, cached and not cached.
//
//   npm run bench:jwt [-- ROUNDS]
//
// The variants are interleaved in one process. Figures are medians over the rounds, in microseconds per token: wall time, and
// in parentheses CPU time, which includes Node's threads but not other processes.

import { generateKeyPairSync } from "node:crypto";
import { availableParallelism, loadavg } from "node:os";
import { jwtVerify, SignJWT } from "jose";
import { defineScopes } from "../src/index.js";
import { createJwtVerifier } from "../src/jwt/index.js";

const ROUNDS = Number(process.argv[2] ?? 41);
const [issuer, audience] = ["https://login.example.com", "https://api.example.com"];
const scopes = defineScopes({ "vehicles:read": {}, "vehicles:write": { implies: ["vehicles:read"] } });

interface Variant {
  readonly name: string;
  readonly count: number;
  readonly run: () => Promise<unknown>;
}

async function variantsOf(alg: string, { publicKey, privateKey }: ReturnType<typeof generateKeyPairSync>) {
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
  const variants: Variant[] = [
    { name: "cached, verify()", count: 2_000, run: () => cached.verify(request, "vehicles:read") },
    { name: "not cached, verify()", count: 50, run: () => uncached.verify(request, "vehicles:read") },
    {
      name: "jose jwtVerify alone",
      count: 50,
      run: () => jwtVerify(token, publicKey, { issuer, audience, algorithms: [alg] }),
    },
  ];
  return { title: `${alg}, ${token.length} characters`, variants };
}

const median = (list: readonly number[]) =>
  [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] as number;
const load = () =>
  loadavg()
    .map((one) => one.toFixed(1))
    .join(" ");

const sets = [
  await variantsOf("RS256", generateKeyPairSync("rsa", { modulusLength: 2048 })),
  await variantsOf("ES256", generateKeyPairSync("ec", { namedCurve: "P-256" })),
];
const before = load();
const figures = new Map<Variant, { wall: number[]; cpu: number[] }>();
for (let round = -3; round < ROUNDS; round++) {
  for (const variant of sets.flatMap(({ variants }) => variants)) {
    const [wall, cpu] = [performance.now(), process.cpuUsage()];
    for (let i = 0; i < variant.count; i++) await variant.run();
    const { user, system } = process.cpuUsage(cpu);
    const took = performance.now() - wall;
    if (round < 0) continue; // warm-up
    const figure = figures.get(variant) ?? { wall: [], cpu: [] };
    figures.set(variant, figure);
    figure.wall.push((took * 1_000) / variant.count);
    figure.cpu.push((user + system) / variant.count);
  }
}
for (const { title, variants } of sets) {
  console.log(title);
  for (const variant of variants) {
    const { wall, cpu } = figures.get(variant) as { wall: number[]; cpu: number[] };
    console.log(
      `  ${variant.name.padEnd(30)} ${median(wall).toFixed(2).padStart(8)} µs  (${median(cpu).toFixed(2)})`,
    );
  }
}
console.log(
  `Node ${process.versions.node}, ${availableParallelism()} CPUs, load before ${before}, after ${load()}`,
);
