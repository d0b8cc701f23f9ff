import cluster, { type Worker } from "node:cluster";
import { CommandError, EXIT } from "../errors.js";
import type { Log } from "./log.js";
import type { Samples } from "./prometheus.js";

/** Messages between the primary process and its workers. */
type Message =
  | { readonly kind: "collect" | "read"; readonly id: number }
  | { readonly kind: "samples" | "collected"; readonly id: number; readonly samples: readonly Samples[] };

const COLLECT_TIMEOUT_MS = 1_000;
const RESTART_DELAY_MS = 500;

/**
 * Runs the command again in worker processes until the signal is aborted, and replaces workers that end. Resolves when
 * all workers have ended.
 *
 * @throws CommandError if a worker ends before any of them listens, for example because the port is in use.
 */
export async function runWorkers(count: number, signal: AbortSignal, log: Log): Promise<void> {
  let hasListened = false;
  let hasFailed = false;
  cluster.on("listening", () => {
    hasListened = true;
  });
  cluster.on("message", (worker, message: Message) => {
    if (message.kind === "collect") collect(worker, message.id);
  });
  for (let index = 0; index < count; index++) cluster.fork();
  await new Promise<void>((resolve) => {
    const resolveIfLast = () => {
      if (Object.keys(cluster.workers ?? {}).length === 0) resolve();
    };
    const stop = () => {
      for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill("SIGTERM");
      resolveIfLast();
    };
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    cluster.on("exit", (worker, code) => {
      if (signal.aborted || hasFailed) return resolveIfLast();
      log.info("worker ended", { worker: worker.process.pid, code });
      if (hasListened) {
        setTimeout(() => signal.aborted || cluster.fork(), RESTART_DELAY_MS);
      } else {
        hasFailed = true;
        stop();
      }
    });
  });
  if (hasFailed)
    throw new CommandError(EXIT.failed, "A worker ended before it listened; its message is above");
}

/** In the primary process: collects the samples of every worker, and sends them to one. */
function collect(requester: Worker, id: number): void {
  const workers = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
  const all: Samples[] = [];
  let waiting = workers.length;
  const finish = () => {
    clearTimeout(timer);
    for (const worker of workers) worker.off("message", onMessage);
    if (requester.isConnected()) requester.send({ kind: "collected", id, samples: all } satisfies Message);
  };
  const onMessage = (message: Message) => {
    if (message.kind !== "samples" || message.id !== requester.id * 1e9 + id) return;
    all.push(...message.samples);
    waiting -= 1;
    if (waiting === 0) finish();
  };
  const timer = setTimeout(finish, COLLECT_TIMEOUT_MS); // a worker may be ending
  for (const worker of workers) {
    worker.on("message", onMessage);
    worker.send({ kind: "read", id: requester.id * 1e9 + id } satisfies Message, () => {});
  }
}

/** Returns a function that collects the samples of all processes of this service. */
export function sampleCollector(own: () => Samples): () => Promise<readonly Samples[]> {
  if (!cluster.isWorker) return async () => [own()];
  let lastId = 0;
  const waiting = new Map<number, (samples: readonly Samples[]) => void>();
  process.on("message", (message: Message) => {
    if (message.kind === "read") {
      process.send?.({ kind: "samples", id: message.id, samples: [own()] } satisfies Message);
    } else if (message.kind === "collected") {
      waiting.get(message.id)?.(message.samples);
      waiting.delete(message.id);
    }
  });
  return () =>
    new Promise((resolve) => {
      lastId += 1;
      waiting.set(lastId, resolve);
      process.send?.({ kind: "collect", id: lastId } satisfies Message);
    });
}
