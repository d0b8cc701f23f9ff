/** What became of the tests on one runtime. */
export interface Outcome {
  readonly files: number;
  readonly passed: number;
  /** What failed, and how. */
  readonly failed: readonly string[];
  readonly skipped: number;
}

export interface Runtime {
  readonly name: string;
  /** Where its binary is, below node_modules. */
  binary(arch: "x64" | "arm64"): string;
  /** What stands in front of the module that it runs; absent where no module of Node's tools runs. */
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
