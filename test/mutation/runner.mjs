// Stryker's runner for Vitest counts the tests that fail. A file whose tests could not even be collected has none, so
// that a mutant that breaks it would survive; here it is killed, as `npm test` fails.

import { strykerValidationSchema } from "@stryker-mutator/vitest-runner";

const { VitestTestRunner } = await import(
  new URL("vitest-test-runner.js", import.meta.resolve("@stryker-mutator/vitest-runner")).href
);

class FileRunner extends VitestTestRunner {
  async dryRun(options) {
    const result = await super.dryRun(options);
    const broken = this.broken();
    if (broken !== undefined) throw new Error(broken);
    return result;
  }

  async mutantRun(options) {
    const result = await super.mutantRun(options);
    if (result.status !== "survived") return result;
    const broken = this.broken();
    return broken === undefined
      ? result
      : { status: "killed", killedBy: [], failureMessage: broken, nrOfTests: 0 };
  }

  /** Why a file has failed. */
  broken() {
    const file = this.ctx.state.getFiles().find(({ result }) => result?.state === "fail");
    return file && `${file.name}: ${file.result.errors?.[0]?.message ?? "failed"}`;
  }
}

const factory = (injector) => injector.provideValue("globalNamespace", "__stryker__").injectClass(FileRunner);
factory.inject = ["$injector"];

export const strykerPlugins = [{ kind: "TestRunner", name: "vitest", factory }];
export { strykerValidationSchema };
