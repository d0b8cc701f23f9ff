import { randomUUID } from "node:crypto";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";

// A pid is not enough: in a container, it is often 1 before and after a restart.
const THIS_PROCESS = { host: hostname(), pid: process.pid, started: performance.timeOrigin };

/**
 * Locks a file for this process and returns a function that unlocks it. The lock of a process that was killed is
 * replaced. A lock of another machine must be removed by hand.
 *
 * @throws Error if the file is locked by another process or by this one.
 */
export async function lock(path: string): Promise<() => Promise<void>> {
  const file = `${path}.lock`;
  const own = `${file}.${randomUUID()}`;
  await writeFile(own, JSON.stringify(THIS_PROCESS), { flag: "wx", mode: 0o600 });
  try {
    if (!(await createLink(own, file))) {
      await removeStaleLock(own, file);
      if (!(await createLink(own, file))) {
        throw new Error(`${path} is in use. If no process uses it, remove ${file}`);
      }
    }
  } finally {
    await rm(own);
  }
  return () => rm(file);
}

/** Removes a stale lock. A second lock file ensures that no process removes the lock that another one just created. */
async function removeStaleLock(own: string, file: string): Promise<void> {
  const removal = `${file}.stale`;
  if (!(await createLink(own, removal))) {
    throw new Error(`Another process is replacing ${file}. If there is none, remove ${removal}`);
  }
  try {
    if (await isStale(file)) await rm(file);
  } finally {
    await rm(removal);
  }
}

/** Whether the process that holds the lock has certainly ended. */
async function isStale(file: string): Promise<boolean> {
  const holder = await readFile(file, "utf8")
    .then((text): Partial<typeof THIS_PROCESS> => JSON.parse(text))
    .catch(() => undefined);
  if (holder?.pid === undefined || holder.host !== THIS_PROCESS.host) return false;
  if (holder.pid === THIS_PROCESS.pid) return holder.started !== THIS_PROCESS.started;
  try {
    process.kill(holder.pid, 0); // checks whether the process exists, without a signal
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/** Creates a hard link, which is atomic. Returns `false` if the name exists. */
async function createLink(file: string, name: string): Promise<boolean> {
  try {
    await link(file, name);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}
