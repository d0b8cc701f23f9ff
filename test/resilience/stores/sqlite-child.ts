// A child process of sqlite-processes.test.ts. Its arguments are the driver, the command, the file and the id of a key.
// It prints lines of JSON, and waits for a line on stdin before it starts the command.

import { once } from "node:events";
import { writeSync } from "node:fs";
import { sqliteStore } from "../../../src/stores/sqlite.js";
import { serviceOver } from "../../contract/stores/service.js";
import { driverNamed } from "../../contract/stores/sqlite-drivers.js";

const [driver, command, file = "", id = ""] = process.argv.slice(2);
const connection = driverNamed(driver).open(file);
const store = sqliteStore(connection);
const { manager } = serviceOver(store);

const print = (line: unknown): void => {
  writeSync(1, `${JSON.stringify(line)}\n`);
};

print("ready");
await once(process.stdin, "data");
if (command === "migrate") {
  await store.migrate();
  print("migrated");
} else if (command === "race") {
  const results = await Promise.allSettled(Array.from({ length: 25 }, () => manager.rotate(id)));
  for (const result of results) {
    print(result.status === "fulfilled" ? { won: result.value.key.id } : { lost: result.reason.name });
  }
} else {
  for (let current = id; ; ) {
    const { secret, key } = await manager.rotate(current);
    current = key.id;
    print({ id: current, secret });
  }
}
connection.close();
process.exit();
