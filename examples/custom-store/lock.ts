import { randomUUID } from "node:crypto";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";

// The pid alone does not tell two lives of one container apart: there, every process is number 1.
const ME = { host: hostname(), pid: process.pid, started: performance.timeOrigin };

/**
 * Makes this process the only one that uses a file, for as long as it lives or until it calls what is answered.
 * The lock of a process that was killed is taken over; one that another machine left has to be removed by hand.
 *
 * @throws Error while another process, or this one already, has the lock.
 */
export async function lock(path: string): Promise<() => Promise<void>> {
  const file = `${path}.lock`;
  const mine = `${file}.${randomUUID()}`;
  await writeFile(mine, JSON.stringify(ME), { flag: "wx", mode: 0o600 });
  try {
    if (!(await linked(mine, file))) {
      await removeStale(mine, file);
      if (!(await linked(mine, file))) throw new Error(`${path} is in use; if not, remove ${file}`);
    }
  } finally {
    await rm(mine);
  }
  return () => rm(file);
}

/** Only one process at a time may do this, or it could remove the lock of one that has just done the same. */
async function removeStale(mine: string, file: string): Promise<void> {
  const turn = `${file}.stale`;
  if (!(await linked(mine, turn))) {
    throw new Error(`Another process is taking over ${file}; if there is none, remove ${turn}`);
  }
  try {
    if (await isStale(file)) await rm(file);
  } finally {
    await rm(turn);
  }
}

/** Whether the process that has the lock is gone for sure. */
async function isStale(file: string): Promise<boolean> {
  const holder = await readFile(file, "utf8")
    .then((text): Partial<typeof ME> => JSON.parse(text))
    .catch(() => undefined);
  if (holder?.pid === undefined || holder.host !== ME.host) return false;
  if (holder.pid === ME.pid) return holder.started !== ME.started;
  try {
    process.kill(holder.pid, 0); // sends nothing
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/** Gives a file a second name, whole and at once, unless something has that name. */
async function linked(file: string, name: string): Promise<boolean> {
  try {
    await link(file, name);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}
