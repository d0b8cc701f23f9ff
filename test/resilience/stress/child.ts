// A process of its own for the suites: command, kind and name of a backend, its place and a count are its
// arguments. It says lines of JSON, and gets a line with the id of a key for each thing that it has to do.

import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { createKeyManager, defineScopes, type KeyFormat, keyFormat } from "../../../src/index.js";
import { backendNamed, type Kind } from "./backends.js";

const [command, kind, name = "", place = "", count] = process.argv.slice(2);
const backend = await backendNamed(kind as Kind, name, JSON.parse(process.env.STRESS_SERVERS ?? "{}"));
if (backend.open === undefined) throw new Error(`${name} cannot be opened twice`);
const { store } = await backend.open(place);

const tell = (line: unknown): void => {
  writeSync(1, `${JSON.stringify(line)}\n`);
};

const scopes = defineScopes({ "vehicles:read": {}, "vehicles:write": {} });
const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
// Tells each secret before its key is written, so that who reads knows it however the rotation ends.
const telling: KeyFormat = {
  ...format,
  generate: (environment) => {
    const secret = format.generate(environment);
    tell({ trying: secret });
    return secret;
  },
};

const race = createKeyManager({ store, scopes, format });
const rotating = createKeyManager({ store, scopes, format: telling });

tell("ready");
for await (const id of createInterface({ input: process.stdin })) {
  if (command === "race") {
    const results = await Promise.allSettled(Array.from({ length: Number(count) }, () => race.rotate(id)));
    tell(
      results.map((result) =>
        result.status === "fulfilled"
          ? { won: result.value.key.id, secret: result.value.secret }
          : { lost: result.reason.name },
      ),
    );
  } else {
    for (let current = id; ; ) {
      const { secret, key } = await rotating.rotate(current);
      current = key.id;
      tell({ id: current, secret });
    }
  }
}
process.exit();
