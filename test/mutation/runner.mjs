// Stryker's runner for Vitest counts failing tests only, so a mutant that makes a test file fail to load would survive.
// This runner counts such a mutant as killed, as `npm test` would fail too.

import { strykerValidationSchema } from "@stryker-mutator/vitest-runner";

const { VitestTestRunner } = await import(
  new URL("vitest-test-runner.js", import.meta.resolve("@stryker-mutator/vitest-runner")).href
);

class FileRunner extends VitestTestRunner {
  async dryRun(options) {
    const result = await super.dryRun(options);
    const loadError = this.loadError();
    if (loadError !== undefined) throw new Error(loadError);
    return result;
  }

  async mutantRun(options) {
    const result = await super.mutantRun(options);
    if (result.status !== "survived") return result;
    const loadError = this.loadError();
    return loadError === undefined
      ? result
      : { status: "killed", killedBy: [], failureMessage: loadError, nrOfTests: 0 };
  }

  /** Returns the error of a test file that failed to load. */
  loadError() {
    const file = this.ctx.state.getFiles().find(({ result }) => result?.state === "fail");
    return file && `${file.name}: ${file.result.errors?.[0]?.message ?? "failed"}`;
  }
}

const factory = (injector) => injector.provideValue("globalNamespace", "__stryker__").injectClass(FileRunner);
factory.inject = ["$injector"];

export const strykerPlugins = [{ kind: "TestRunner", name: "vitest", factory }];
export { strykerValidationSchema };
