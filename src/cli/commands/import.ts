import { createReadStream, type Stats, statSync } from "node:fs";
import { addAbortSignal, type Readable } from "node:stream";
import type { Command } from "commander";
import { command, type Run, rejectSecretArguments, withActor, withStore } from "../arguments.js";
import { EXIT, usageError } from "../errors.js";
import { createImporter, type ImportCounts } from "../importer.js";
import { startProgress } from "../progress.js";
import { readLines } from "../read-lines.js";
import { type StoreOptions, withSession } from "../session.js";

interface Options extends StoreOptions {
  readonly dryRun?: boolean;
}

/** `keybearer import`: imports keys of another system. */
export function importCommand(run: Run): Command {
  const importing = command("import", "import keys of another system, from a file or stdin, as JSON lines", [
    "keybearer import keys.ndjson --dry-run",
    "psql -qAt -c 'select row_to_json(k) from old_keys k' | keybearer import",
    `echo '{"ownerId":"acme","scopes":["vehicles:read"],"hash":"<64 hex digits of SHA-256>"}' | keybearer import`,
  ])
    .argument("[file]", "one JSON object per line, with the members of manager.import (default: stdin)")
    .option("--dry-run", "check every line against the configuration and the store; write nothing");
  return withActor(withStore(importing))
    .allowExcessArguments()
    .action(async (file: string | undefined, options: Options, self: Command) => {
      rejectSecretArguments(self, 1);
      const source = openSource(file);
      await withSession(
        run,
        options,
        async ({ config, store, actor, output, json, signal }) => {
          const { dryRun = false } = options;
          const target = dryRun ? { ...store, insert: async () => {} } : store;
          const title = dryRun ? "import (dry run)" : "import";
          const progress = await startProgress(output, title, source.size);
          const importer = createImporter(config.manager(target), actor, signal, progress.log);
          let finished = false;
          try {
            for await (const line of readLines(addAbortSignal(signal, source.stream))) {
              await importer.add(line);
              progress.update(line.end, summarize(importer.counts, dryRun));
            }
            await importer.finish();
            finished = true;
          } finally {
            source.stream.destroy();
            progress.stop();
            const rest = finished
              ? ""
              : " Not all lines were read. Run the import again: existing keys are skipped.";
            output.log(`${summarize(importer.counts, dryRun)}.${rest}`);
          }
          if (json) await output.json({ ...importer.counts, dryRun });
          if (importer.counts.failed > 0) run.setExitCode(EXIT.failed);
        },
        "bulk",
      );
    });
}

function summarize({ imported, skipped, failed }: ImportCounts, dryRun: boolean): string {
  return `${imported} ${dryRun ? "can be imported" : "imported"}, ${skipped} skipped, ${failed} failed`;
}

/** Opens the file or stdin. Errors do not contain the argument: it may be a secret. */
function openSource(file: string | undefined): { stream: Readable; size: number | undefined } {
  if (file === undefined || file === "-") {
    if (process.stdin.isTTY) throw usageError("Pass the lines on stdin or in a file");
    return { stream: process.stdin, size: undefined };
  }
  let stats: Stats;
  try {
    stats = statSync(file);
  } catch (error) {
    throw usageError(`The file to import cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  if (stats.isDirectory()) throw usageError("The file to import is a directory");
  return { stream: createReadStream(file), size: stats.isFile() ? stats.size : undefined };
}
