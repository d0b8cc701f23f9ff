/** The results of the tests on one runtime. */
export interface Outcome {
  readonly files: number;
  readonly passed: number;
  /** Names of failed tests, with their errors. */
  readonly failed: readonly string[];
  readonly skipped: number;
}

export interface Runtime {
  readonly name: string;
  /** The path of its binary in node_modules. */
  binary(arch: "x64" | "arm64"): string;
  /** Arguments before the module to run; absent if the runtime cannot run Vitest. */
  readonly args?: readonly string[];
}

const node = (major: number): Runtime => ({
  name: `node${major}`,
  binary: (arch) => `node${major}-linux-${arch}/bin/node`,
  args: ["--no-warnings"],
});

export const runtimes: readonly Runtime[] = [
  node(20),
  node(22),
  node(24),
  {
    name: "bun",
    binary: (arch) => `@oven/bun-linux-${arch === "arm64" ? "aarch64" : arch}/bin/bun`,
    args: ["--bun"],
  },
  {
    name: "workerd",
    binary: (arch) => `@cloudflare/workerd-linux-${arch === "arm64" ? arch : "64"}/bin/workerd`,
  },
  { name: "deno", binary: (arch) => `@deno/linux-${arch}-glibc/deno`, args: ["run", "-A", "--quiet"] },
];
