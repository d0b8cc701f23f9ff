// A child process of the suites. Arguments: command, kind and name of a backend, place, count. It reads the id of a key
// from each line of stdin, and writes lines of JSON to stdout.

import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { createKeyManager, defineScopes, keyFormat } from "../../../src/index.js";
import { backendNamed, type Kind } from "./backends.js";

const [command, kind, name = "", place = "", count] = process.argv.slice(2);
const backend = await backendNamed(kind as Kind, name, JSON.parse(process.env.STRESS_SERVERS ?? "{}"));
if (backend.open === undefined) throw new Error(`${name} cannot be opened by a second process`);
const { store } = await backend.open(place);

const print = (line: unknown): void => {
  writeSync(1, `${JSON.stringify(line)}\n`);
};

const scopes = defineScopes({ "vehicles:read": {}, "vehicles:write": {} });
const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
// Prints each secret before its key is stored, so that the parent knows it even if this process is killed.
const printing: typeof format = {
  ...format,
  generate: (environment) => {
    const secret = format.generate(environment);
    print({ pending: secret });
    return secret;
  },
};

const racing = createKeyManager({ store, scopes, format });
const rotating = createKeyManager({ store, scopes, format: printing });

print("ready");
for await (const id of createInterface({ input: process.stdin })) {
  if (command === "race") {
    const results = await Promise.allSettled(Array.from({ length: Number(count) }, () => racing.rotate(id)));
    print(
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
      print({ id: current, secret });
    }
  }
}
process.exit();
