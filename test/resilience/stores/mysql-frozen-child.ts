// A process of mysql-faults.test.ts that stops itself just before it commits a change. Arguments: the URL, the table and the
// id of the key. It prints "frozen", and when it continues, the name of the error of the change.

import { createPool } from "mysql2/promise";
import { type MysqlQuery, mysqlStore } from "../../../src/stores/mysql.js";
import { sampleAudit } from "../../../src/testing/fixtures.js";

const [url = "", table = "", id = ""] = process.argv.slice(2);
const pool = createPool(url);
const store = mysqlStore(
  {
    execute() {},
    async getConnection() {
      const connection = await pool.getConnection();
      const query = connection.query.bind(connection);
      return Object.assign(connection, {
        query(statement: MysqlQuery) {
          if (statement.sql === "commit") {
            process.stdout.write("frozen\n");
            process.kill(process.pid, "SIGSTOP");
          }
          return query(statement);
        },
      });
    },
  } as never,
  { table },
);

const change = store.update(
  id,
  1,
  { revokedAt: new Date() },
  sampleAudit({ id, ownerId: "acme" }, { id: `${id} frozen` }),
);
const outcome = await Promise.resolve(change).catch((error: Error) => error.name);
process.stdout.write(`${outcome}\n`);
process.exit();
