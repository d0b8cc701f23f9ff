import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";

// Compile errors are part of the API: a misspelt scope must be one error that lists the scopes.

const HERE = fileURLToPath(new URL(".", import.meta.url));
const SCOPES = '"vehicles:read" | "vehicles:write"';

const SETUP = `
import { expressAuth } from "../../src/adapters/express.js";
import { fastifyAuth } from "../../src/adapters/fastify.js";
import { fetchAuth } from "../../src/adapters/fetch.js";
import { honoAuth } from "../../src/adapters/hono.js";
import { koaAuth } from "../../src/adapters/koa.js";
import { nodeAuth } from "../../src/adapters/node.js";
import { defineScopes, keybearer, keyFormat, type ManagedKeyStore } from "../../src/index.js";
declare const store: ManagedKeyStore;
const scopes = defineScopes({ "vehicles:read": {}, "vehicles:write": {} });
const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
const { verifier, keys } = keybearer({ store, scopes, format });
const middleware = { expressAuth: expressAuth(verifier), koaAuth: koaAuth(verifier), honoAuth: honoAuth(verifier), fastifyAuth: fastifyAuth(verifier) };
const handlers = { fetchAuth: fetchAuth(verifier), nodeAuth: nodeAuth(verifier) };
declare module "../../src/core/verifier/principal.js" {
  interface Register { scopes: typeof scopes }
}
`;

/** One line of code each, and all errors it must have. */
const CASES: readonly (readonly [code: string, ...messages: string[]])[] = [
  ...["expressAuth", "koaAuth", "honoAuth", "fastifyAuth"].flatMap((name) => [
    [
      `middleware.${name}("vehicle:read");`,
      `Argument of type '"vehicle:read"' is not assignable to parameter of type '${SCOPES}'.`,
    ] as const,
    [
      `middleware.${name}(["vehicle:read"]);`,
      `Type '"vehicle:read"' is not assignable to type '${SCOPES}'. Did you mean '"vehicles:read"'?`,
    ] as const,
    [
      `middleware.${name}({ anyOf: ["vehicle:read"] });`,
      `Type '"vehicle:read"' is not assignable to type '${SCOPES}'. Did you mean '"vehicles:read"'?`,
    ] as const,
    [`middleware.${name}("vehicles:read", { optional: true });`] as const,
  ]),
  ...["fetchAuth", "nodeAuth"].map(
    (name) =>
      [
        `handlers.${name}("vehicle:read", () => new Response());`,
        `Argument of type '"vehicle:read"' is not assignable to parameter of type '${SCOPES}'.`,
      ] as const,
  ),
  [
    `(req: Express.Request) => req.auth.can("vehicles:rea");`,
    `Argument of type '"vehicles:rea"' is not assignable to parameter of type '${SCOPES}'.`,
  ],
  [`(req: Express.Request) => req.auth.can("vehicles:read");`],
  [
    `keybearer({ store, scopes, format, environment: "prod" });`,
    `Type '"prod"' is not assignable to type '"live" | "test" | readonly ("live" | "test")[]'.`,
  ],
  [
    `keys.create({ ownerId: "acme", scopes: ["vehicles:read"], environment: "prod" });`,
    `Type '"prod"' is not assignable to type '"live" | "test"'.`,
  ],
  [
    `keys.create({ ownerId: "acme", scopes: ["vehicles:rea"] });`,
    `Type '"vehicles:rea"' is not assignable to type '${SCOPES}'. Did you mean '"vehicles:read"'?`,
  ],
  [
    `keybearer({ store, scopes, format, storeTimeout: 250 });`,
    `Type 'number' is not assignable to type '${["ms", "s", "m", "h", "d"].map((unit) => `\`\${number}${unit}\``).join(" | ")}'.`,
  ],
];

describe("compile errors", () => {
  const file = `${HERE}messages-virtual.ts`;
  const source = `${SETUP}${CASES.map(([code]) => code).join("\n")}\n`;
  const errors = compile(file, source);
  const firstLine = SETUP.split("\n").length;

  it("compiles the set-up", () => {
    expect(errors.filter(({ line }) => line < firstLine)).toEqual([]);
  });

  it.each(CASES.map(([code, ...messages], index) => ({ code, messages, line: firstLine + index })))(
    "$code",
    ({ messages, line }) => {
      expect(errors.filter((error) => error.line === line).map(({ message }) => message)).toEqual(messages);
    },
  );
});

function compile(
  file: string,
  source: string,
): readonly { readonly line: number; readonly message: string }[] {
  const { config } = ts.readConfigFile(`${HERE}../../tsconfig.json`, ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, `${HERE}../..`);
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.getSourceFile = (name, ...rest) =>
    name === file ? ts.createSourceFile(name, source, rest[0]) : getSourceFile(name, ...rest);
  host.fileExists = (name) => name === file || fileExists(name);
  const program = ts.createProgram(
    [file],
    { ...options, isolatedDeclarations: false, declaration: false },
    host,
  );
  const compiled = program.getSourceFile(file);
  return ts.getPreEmitDiagnostics(program, compiled).map(({ start = 0, messageText }) => ({
    line: (compiled?.getLineAndCharacterOfPosition(start).line ?? 0) + 1,
    message: typeof messageText === "string" ? messageText : messageText.messageText,
  }));
}
