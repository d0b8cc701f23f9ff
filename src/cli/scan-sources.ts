import { type ChildProcessByStdio, execFile, spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { lstat, opendir } from "node:fs/promises";
import { join, relative } from "node:path";
import { addAbortSignal, type Readable } from "node:stream";
import { promisify } from "node:util";
import { createFinder, type ScannableFormat } from "../leaks/finder.js";
import { usageError } from "./errors.js";
import { escapeText } from "./escape.js";

/** A secret, and where it was found. */
export interface Finding {
  readonly secret: string;
  /** Relative to the current directory; in a commit, to the root of its repository. */
  readonly file: string;
  readonly line: number;
  readonly commit?: string;
}

/** Directories that `git` would not list, for directories outside a repository. */
const SKIPPED = [".git", "node_modules"];
const MAX_LIST_BYTES = 256 * 1_024 ** 2;
const git = promisify(execFile);

/**
 * Lists the files of paths: of a directory in a Git repository, the files that Git tracks and those that it does not ignore;
 * of any other directory, all files below it. Follows no symbolic links.
 *
 * @throws CommandError if a path cannot be read.
 */
export async function listFiles(paths: readonly string[]): Promise<readonly string[]> {
  const files = await Promise.all(
    paths.map(async (path) => {
      const stats = await lstat(path).catch((error: NodeJS.ErrnoException) => {
        throw usageError(`${escapeText(path)} cannot be read (${error.code})`);
      });
      if (!stats.isDirectory()) return stats.isFile() ? [path] : [];
      return (await listTracked(path)) ?? (await walk(path));
    }),
  );
  return [...new Set(files.flat())];
}

async function listTracked(directory: string): Promise<readonly string[] | undefined> {
  try {
    const args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    const { stdout } = await git("git", ["-C", directory, ...args], { maxBuffer: MAX_LIST_BYTES });
    return stdout.split("\0").flatMap((name) => (name === "" ? [] : [join(directory, name)]));
  } catch {
    return undefined; // no repository, or no git
  }
}

async function walk(directory: string): Promise<readonly string[]> {
  const files: string[] = [];
  for await (const entry of await opendir(directory)) {
    const path = join(directory, entry.name);
    if (entry.isFile()) files.push(path);
    else if (entry.isDirectory() && !SKIPPED.includes(entry.name)) files.push(...(await walk(path)));
  }
  return files;
}

/** Finds secrets in a file. A file that is gone or unreadable is passed to `onSkipped`. */
export async function* scanFile(
  path: string,
  formats: readonly ScannableFormat[],
  onSkipped: (path: string) => void,
): AsyncGenerator<Finding> {
  try {
    if (!(await lstat(path)).isFile()) return; // a symbolic link or a submodule that Git lists
    yield* scanStream(createReadStream(path, "latin1"), relative("", path), formats);
  } catch {
    onSkipped(path);
  }
}

/** Finds secrets in stdin. */
export function scanStdin(formats: readonly ScannableFormat[], signal: AbortSignal): AsyncGenerator<Finding> {
  return scanStream(addAbortSignal(signal, process.stdin.setEncoding("latin1")), "stdin", formats);
}

async function* scanStream(
  stream: Readable,
  file: string,
  formats: readonly ScannableFormat[],
): AsyncGenerator<Finding> {
  const find = createFinder(formats);
  for await (const part of partsOf(stream)) {
    for (const { secret, line } of find(...part)) if (secret !== undefined) yield { secret, file, line };
  }
}

// A line of the format below, or of the header of a diff.
const MARKER = /^commit ([0-9a-f]{40,64})$|^\+\+\+ b\/(.*)$|^@@ -\S+ \+(\d+)/gm;

/**
 * Finds secrets in every commit of a repository: its message, and the lines that it adds or removes.
 *
 * @throws CommandError if the directory is not in a Git repository.
 */
export async function* scanHistory(
  directory: string,
  formats: readonly ScannableFormat[],
  signal: AbortSignal,
  onCommit: () => void,
): AsyncGenerator<Finding> {
  const args = [
    "log",
    "--all",
    "-m",
    "-p",
    "--unified=0",
    "--text",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
  ];
  const child: ChildProcessByStdio<null, Readable, null> = spawn(
    "git",
    ["-C", directory, "-c", "core.quotePath=false", ...args, "--format=commit %H%n%B"],
    { stdio: ["ignore", "pipe", "ignore"], signal },
  );
  const ended = new Promise<number | null>((resolve, reject) =>
    child.on("error", reject).on("close", resolve),
  );
  ended.catch(() => {}); // awaited below
  const find = createFinder(formats, MARKER);
  let commit = "";
  let file = "";
  /** The line of the stream and of the file at which the current lines of a diff begin. */
  let hunk = { streamLine: 0, fileLine: 1 };
  for await (const part of partsOf(child.stdout.setEncoding("latin1"))) {
    for (const { secret, marker, line } of find(...part)) {
      if (secret !== undefined) {
        yield { secret, commit, file, line: Math.max(1, hunk.fileLine + line - hunk.streamLine) };
        continue;
      }
      const [, id, name, start] = marker ?? [];
      if (id !== undefined) {
        [commit, file] = [id, "message"];
        hunk = { streamLine: line + 1, fileLine: 1 };
        onCommit();
      } else if (name !== undefined) file = Buffer.from(name, "latin1").toString();
      else hunk = { streamLine: line + 1, fileLine: Number(start) };
    }
  }
  signal.throwIfAborted();
  if ((await ended) !== 0) throw usageError(`${escapeText(directory)} is not in a Git repository`);
}

/** Yields the parts of a stream, and an empty last one. */
async function* partsOf(stream: Readable): AsyncGenerator<[part: string, isEnd: boolean]> {
  for await (const part of stream) yield [part, false];
  yield ["", true];
}
