import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { BIN } from "../cli/command.js";

const FOLDER = fileURLToPath(new URL("../../examples/deploy/", import.meta.url));
const textOf = (name: string) => readFileSync(join(FOLDER, name), "utf8");
const NOBODY = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "keybearer-deploy-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  return folder;
}

describe("the files in examples/deploy", { timeout: 60_000 }, () => {
  it("run the command of the Dockerfile as another user in a directory that nothing can write to", async () => {
    const dockerfile = textOf("Dockerfile");
    expect(dockerfile).toMatch(/^USER node$/m);
    const command: readonly string[] = JSON.parse(/^CMD (\[.*\])$/m.exec(dockerfile)?.[1] ?? "[]");
    expect(command.slice(0, 2)).toEqual(["node", "node_modules/keybearer/dist/cli/index.js"]);

    const folder = freshFolder();
    const [app, data] = [join(folder, "app"), join(folder, "data")];
    for (const one of [app, data]) mkdirSync(one);
    copyFileSync(join(FOLDER, "keybearer.config.json"), join(app, "keybearer.config.json"));
    if (NOBODY.uid !== undefined) chownSync(data, NOBODY.uid, NOBODY.gid);
    chmodSync(app, 0o555);
    const options = {
      ...NOBODY,
      cwd: app,
      env: { KEYBEARER_URL: `sqlite:${join(data, "keys.db")}`, PATH: process.env.PATH },
    };
    expect(() => writeAs(options, join(app, "file"))).toThrow();

    const runBin = (...args: string[]) =>
      spawnSync(process.execPath, [BIN, ...args], { ...options, encoding: "utf8" });
    expect(runBin("migrate").status).toBe(0);
    const secret = runBin("create", "--owner", "operator", "--scope", "keybearer:admin").stdout.trim();
    const child = spawn(
      process.execPath,
      [BIN, ...command.slice(2), "--port", "0", "--workers", "1"],
      options,
    );
    onTestFinished(() => void child.kill("SIGKILL"));
    let output = "";
    const url = await new Promise<string>((resolve, reject) => {
      child.stderr.setEncoding("utf8").on("data", (text) => {
        output += text;
      });
      child.stdout.setEncoding("utf8").on("data", (text) => {
        const found = /"url":"([^"]+)"/.exec(text)?.[1];
        if (found !== undefined) resolve(found.replace("0.0.0.0", "127.0.0.1"));
      });
      child.on("exit", (code) => reject(new Error(`exited with ${code}: ${output}`)));
    });
    const me = await fetch(`${url}/v1/me`, { headers: { authorization: `Bearer ${secret}` } });
    expect(await me.json()).toMatchObject({ ownerId: "operator" });
    const ended = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
  });

  it("restrict the container of compose.yaml", () => {
    const { keys, database } = parse(textOf("compose.yaml")).services;
    expect(keys).toMatchObject({
      ...{ read_only: true, cap_drop: ["ALL"], security_opt: ["no-new-privileges:true"] },
      ports: ["127.0.0.1:8080:8080"],
    });
    expect(database.ports).toBeUndefined();
    expect(keys.healthcheck.test.at(-1)).toContain("/readyz");
    expect(textOf("compose.yaml")).not.toMatch(/PASSWORD: (?!\$\{)/);
  });

  it("restrict the pods of kubernetes.yaml, and connect the objects", () => {
    const documents = parseAllDocuments(textOf("kubernetes.yaml"));
    expect(documents.flatMap(({ errors }) => errors)).toEqual([]);
    const [deployment, service, budget] = documents.map((document) => document.toJS());
    const { spec, metadata } = deployment.spec.template;
    const [container] = spec.containers;
    expect(spec.securityContext).toMatchObject({ runAsNonRoot: true });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    expect(container.readinessProbe.httpGet).toEqual({ path: "/readyz", port: "http" });
    expect(container.livenessProbe.httpGet).toEqual({ path: "/healthz", port: "http" });
    for (const selector of [
      deployment.spec.selector.matchLabels,
      service.spec.selector,
      budget.spec.selector.matchLabels,
    ]) {
      expect(selector).toEqual(metadata.labels);
    }
    expect(service.spec.ports[0].targetPort).toBe(container.ports[0].name);
  });

  it("have a systemd unit that systemd-analyze accepts", ({ skip }) => {
    if (spawnSync("systemd-analyze", ["--version"]).status !== 0) skip("systemd-analyze is not installed");
    const unit = textOf("keybearer.service");
    const file = join(freshFolder(), "keybearer.service");
    writeFileSync(file, unit.replace("/usr/bin/node", process.execPath));
    const { status, stderr } = spawnSync("systemd-analyze", ["verify", file], { encoding: "utf8" });
    expect(stderr.split("\n").filter((line) => line.includes("keybearer.service"))).toEqual([]);
    expect(status).toBe(0);
    expect(unit).toMatch(/^ProtectSystem=strict$/m);
  });
});

function writeAs(options: object, file: string): void {
  const script = `require("fs").writeFileSync(${JSON.stringify(file)}, "")`;
  const { status } = spawnSync(process.execPath, ["-e", script], options);
  if (status !== 0) throw new Error("The file cannot be written");
}
