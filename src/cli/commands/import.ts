import { createReadStream, type Stats, statSync } from "node:fs";
import { addAbortSignal, type Readable } from "node:stream";
import type { Command } from "commander";
import { command, type Run, refuseSecrets, withActor, withStore } from "../arguments.js";
import { EXIT, usageError } from "../failure.js";
import { createImporter, type Tally } from "../importer.js";
import { linesOf } from "../lines.js";
import { startProgress } from "../progress.js";
import { type StoreOptions, withSession } from "../session.js";

interface Options extends StoreOptions {
  readonly dryRun?: boolean;
}

/** `keybearer import`: takes keys over from another system. */
export function importCommand(run: Run): Command {
  const made = command("import", "take over keys of another system, from JSON lines of a file or stdin", [
    "keybearer import keys.ndjson --dry-run",
    "psql -qAt -c 'select row_to_json(k) from old_keys k' | keybearer import",
    `echo '{"ownerId":"acme","scopes":["vehicles:read"],"hash":"<64 hex digits of SHA-256>"}' | keybearer import`,
  ])
    .argument("[file]", "one JSON object a line, with the members of manager.import (default: stdin)")
    .option("--dry-run", "check every line against the configuration and the store, and write nothing");
  return withActor(withStore(made))
    .allowExcessArguments()
    .action(async (file: string | undefined, options: Options, self: Command) => {
      refuseSecrets(self, 1);
      const source = openSource(file);
      await withSession(
        run,
        options,
        async ({ config, store, actor, output, json, signal }) => {
          const { dryRun = false } = options;
          const written = dryRun ? { ...store, insert: async () => {} } : store;
          const title = dryRun ? "import (dry run)" : "import";
          const progress = await startProgress(output, title, source.size);
          const importer = createImporter(config.manager(written), actor, signal, progress.say);
          let finished = false;
          try {
            for await (const line of linesOf(addAbortSignal(signal, source.stream))) {
              await importer.add(line);
              progress.update(line.end, told(importer.tally, dryRun));
            }
            await importer.finish();
            finished = true;
          } finally {
            source.stream.destroy();
            progress.stop();
            const after = finished ? "." : ". Not all lines were read; it is safe to import them all again.";
            output.say(`${told(importer.tally, dryRun)}${after}`);
          }
          if (json) await output.json({ ...importer.tally, dryRun });
          if (importer.tally.failed > 0) run.answer(EXIT.failed);
        },
        "bulk",
      );
    });
}

function told({ imported, skipped, failed }: Tally, dryRun: boolean): string {
  return `${imported} ${dryRun ? "can be imported" : "imported"}, ${skipped} there already, ${failed} failed`;
}

/** The error does not repeat the argument: a secret may have been pasted there. */
function openSource(file: string | undefined): { stream: Readable; size: number | undefined } {
  if (file === undefined || file === "-") {
    if (process.stdin.isTTY) throw usageError("Pipe the lines in, or name a file");
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
