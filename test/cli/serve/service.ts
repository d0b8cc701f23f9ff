// Runs `keybearer serve` as a process.

import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { onTestFinished } from "vitest";
import { postgresBackends } from "../../contract/stores/backends/postgres.js";
import { redisBackends } from "../../contract/stores/backends/redis.js";
import { CONFIG, done, freshName, freshPlace, type Place, start } from "../command.js";

/** A configuration with the scopes of the service. */
export const SERVE = { ...CONFIG, serve: {} };

/** A running service. */
export interface Service {
  readonly url: string;
  readonly child: ChildProcessWithoutNullStreams;
  /** The bootstrap token that it printed. */
  readonly token: string | undefined;
  readonly output: () => { readonly stdout: string; readonly stderr: string };
  /** Sends a signal and returns the exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests compare it
  readonly body: any;
}

/** Starts a service on a free port, unless `args` name one. Resolves when it listens. */
export async function serve(
  place: Place,
  args: readonly string[] = ["--port", "0"],
  env: NodeJS.ProcessEnv = {},
): Promise<Service> {
  const child = start(place, ["serve", ...args], env);
  const texts = { stdout: "", stderr: "" };
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  onTestFinished(() => void child.kill("SIGKILL"));
  const url = await new Promise<string>((resolve, reject) => {
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text) => {
        texts[name] += text;
        const found = /"message":"listening".*"url":"([^"]+)"/.exec(texts.stdout)?.[1];
        if (found !== undefined) resolve(found);
      });
    }
    void ended.then((code) => reject(new Error(`keybearer serve exited with ${code}: ${texts.stderr}`)));
  });
  return {
    url,
    child,
    token: /keybearer_bootstrap_\w+/.exec(texts.stderr)?.[0],
    output: () => texts,
    stop(signal = "SIGTERM") {
      child.kill(signal);
      return ended;
    },
  };
}

/** Sends a request, with a JSON body if there is one. */
export async function call(
  { url }: Pick<Service, "url">,
  method: string,
  path: string,
  secret?: string,
  body?: object,
): Promise<Reply> {
  const headers: Record<string, string> = {
    ...(secret !== undefined && { authorization: `Bearer ${secret}` }),
    ...(body !== undefined && { "content-type": "application/json" }),
  };
  const response = await fetch(url + path, {
    ...{ method, headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.includes("json") === true;
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}

/** Redeems the bootstrap token, and returns the secret of the first administrator. */
export async function bootstrap(service: Service): Promise<string> {
  const { status, body } = await call(service, "POST", "/bootstrap", undefined, { token: service.token });
  if (status !== 201) throw new Error(`POST /bootstrap: ${status}`);
  return body.secret;
}

/** Creates the tables and a key of the operator with the command line, and returns its secret. */
export async function administrator(place: Place): Promise<string> {
  await done(place, ["migrate"]);
  return (await done(place, ["create", "--owner", "operator", "--scope", "keybearer:admin"])).trim();
}

/** A store that several processes share, with tables of its own, which are dropped after the test. */
export function sharedPlace(url: string | undefined): Place & { url: string } {
  const name = freshName();
  onTestFinished(async () => {
    if (url?.startsWith("postgres")) {
      await postgresBackends(url)[0]?.drop(JSON.stringify({ url, table: name }));
    } else if (url !== undefined) {
      const place = { kind: "redisStore over node-redis", urls: [url], prefix: name };
      await redisBackends(url, undefined)[0]?.drop(JSON.stringify(place));
    }
  });
  return freshPlace(url, { ...SERVE, table: name, redisPrefix: name, maxKeysPerOwner: 100_000 });
}
