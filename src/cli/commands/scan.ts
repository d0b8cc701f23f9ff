import { type Command, Option } from "commander";
import type { ApiKey } from "../../kit.js";
import type { ScannableFormat } from "../../leaks/finder.js";
import { command, type Run, withActor, withStore } from "../arguments.js";
import type { Config } from "../config.js";
import { loadConfig } from "../config-file.js";
import { EXIT, usageError } from "../errors.js";
import type { Column } from "../output.js";
import { writeList } from "../output.js";
import { type Progress, startProgress } from "../progress.js";
import { confirm } from "../prompts.js";
import { type Finding, listFiles, scanFile, scanHistory, scanStdin } from "../scan-sources.js";
import { type Session, type StoreOptions, withSession } from "../session.js";

interface Options extends StoreOptions {
  readonly git?: boolean;
  readonly offline?: boolean;
  readonly revoke?: boolean;
  readonly yes?: boolean;
}

/** A finding without its secret. */
interface Row {
  /** `unknown`: no key of the store has this secret. `unchecked`: the store was not asked. */
  readonly status: ApiKey["status"] | "unknown" | "unchecked";
  readonly file: string;
  readonly line: number;
  readonly commit: string | null;
  readonly start: string | null;
  readonly keyId: string | null;
  readonly ownerId: string | null;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: "STATUS", text: ({ status }) => status },
  { title: "KEY", text: ({ keyId }) => keyId ?? "-" },
  { title: "OWNER", text: ({ ownerId }) => ownerId ?? "-", rank: 2 },
  { title: "START", text: ({ start }) => start ?? "-", rank: 1 },
  { title: "PLACE", text: (row) => placeOf(row) },
];
const LIVE = ["active", "retiring"];
const BATCH = 500;

/** `keybearer scan`: finds secrets of this service in files, the history of a repository or stdin. */
export function scanCommand(run: Run): Command {
  const scan = command(
    "scan",
    "find secrets of your keys in files, in the history of a repository, or in stdin",
    ["keybearer scan", "keybearer scan --git . --revoke", "git diff --cached | keybearer scan --offline -"],
  )
    .argument("[paths...]", 'files and directories, or "-" for stdin (default: the current directory)')
    .option("--git", "scan every commit of the repositories at the paths instead of their files")
    .addOption(new Option("--offline", "do not ask the store which secrets are live").conflicts("revoke"))
    .option("--revoke", "revoke the live keys, with the reason leaked")
    .option("--yes", "do not ask for confirmation on a terminal");
  return withActor(withStore(scan)).action(async (paths: readonly string[], options: Options) => {
    if (options.offline) {
      const found = await scanAll(run, await loadConfig(options.config), undefined, paths, options);
      if (found.count > 0) run.setExitCode(EXIT.failed);
      return;
    }
    await withSession(run, options, async (session) => {
      const { live } = await scanAll(session, session.config, session, paths, options);
      if (live.size === 0) return;
      run.setExitCode(EXIT.failed);
      if (options.revoke) await revokeAll(session, live, options.yes);
    });
  });
}

/** Prints the findings. Returns their number, and the places of live keys by id. */
async function scanAll(
  { output, signal }: Pick<Session, "output" | "signal">,
  config: Config,
  session: Pick<Session, "manager"> | undefined,
  paths: readonly string[],
  { git = false, json = false }: Options,
): Promise<{ count: number; live: ReadonlyMap<string, Row> }> {
  const formats = scannable(config);
  const targets = paths.length > 0 ? paths : ["."];
  const files = git || targets.includes("-") ? undefined : await listFiles(targets);
  const progress = await startProgress(output, "scan", files?.length);
  const live = new Map<string, Row>();
  const findings = findAll(targets, files, formats, git, signal, progress);
  try {
    const rows = async function* (): AsyncGenerator<readonly Row[]> {
      for await (const batch of batchesOf(findings)) {
        signal.throwIfAborted();
        const keys = await session?.manager.identify(batch.map(({ secret }) => secret));
        const page = batch.map((finding, index) => rowOf(finding, keys && { key: keys[index] }));
        for (const row of page) if (row.keyId !== null && LIVE.includes(row.status)) live.set(row.keyId, row);
        yield page;
      }
    };
    const count = await writeList(output, rows(), COLUMNS, json);
    if (count === 0 && !json) output.log("No secrets.");
    return { count, live };
  } finally {
    progress.stop();
  }
}

async function* findAll(
  targets: readonly string[],
  files: readonly string[] | undefined,
  formats: readonly ScannableFormat[],
  git: boolean,
  signal: AbortSignal,
  progress: Progress,
): AsyncGenerator<Finding> {
  if (git) {
    let commits = 0;
    const onCommit = () => progress.update(++commits, `${commits} commits`);
    for (const target of targets) yield* scanHistory(target, formats, signal, onCommit);
    return;
  }
  const onSkipped = (path: string) => progress.log(`${path} cannot be read and was skipped.`);
  let done = 0;
  for (const path of files ?? targets) {
    signal.throwIfAborted();
    if (path === "-") yield* scanStdin(formats, signal);
    else if (files !== undefined) yield* scanFile(path, formats, onSkipped);
    else for (const file of await listFiles([path])) yield* scanFile(file, formats, onSkipped);
    progress.update(++done, `${done} files`);
  }
}

async function* batchesOf(findings: AsyncIterable<Finding>): AsyncGenerator<readonly Finding[]> {
  let batch: Finding[] = [];
  for await (const finding of findings) {
    if (batch.push(finding) < BATCH) continue;
    yield batch;
    batch = [];
  }
  yield batch;
}

function rowOf({ file, line, commit }: Finding, found: { key: ApiKey | undefined } | undefined): Row {
  const { key } = found ?? {};
  return {
    status: key?.status ?? (found === undefined ? "unchecked" : "unknown"),
    file,
    line,
    commit: commit ?? null,
    start: key?.start ?? null,
    keyId: key?.id ?? null,
    ownerId: key?.ownerId ?? null,
  };
}

function placeOf({ file, line, commit }: Row): string {
  return `${commit === null ? "" : `${commit.slice(0, 12)} `}${file}:${line}`;
}

async function revokeAll(
  { manager, actor, output, signal }: Session,
  live: ReadonlyMap<string, Row>,
  yes: boolean | undefined,
): Promise<void> {
  await confirm(`Revoke ${live.size} keys permanently?`, yes, signal);
  for (const [id, row] of live) {
    const type = row.commit === null ? "file" : "commit";
    await manager.reportLeak(id, { source: "scan", type, url: placeOf(row).slice(0, 2_048), actor });
    output.log(`${id} is revoked.`);
  }
}

/** @throws CommandError if no format has a pattern. */
function scannable({ formats }: Config): readonly ScannableFormat[] {
  const found = formats.flatMap((format) =>
    format.pattern === undefined
      ? []
      : [{ pattern: format.pattern, parse: (secret: string) => format.parse(secret) }],
  );
  if (found.length > 0) return found;
  throw usageError('The formats have no "pattern". keyFormat() creates one; add it to your own format');
}
