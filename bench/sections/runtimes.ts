// `verify` and the guard of node:http on other versions of Node, compared with the hand-written checks. The versions are
// packages that contain a binary, those of `npm run test:runtimes`.

import { arch } from "node:os";
import { fileURLToPath } from "node:url";
import { runtimes } from "../../test/runtimes/runtimes.js";
import { install } from "../install.js";
import { printRow } from "../rows.js";
import { runSection } from "../section.js";

const NAMES = ["node22", "node24"];
const RUNTIMES = fileURLToPath(new URL("../../test/runtimes/", import.meta.url));

install(RUNTIMES, "the versions of Node");
for (const { name, binary } of runtimes) {
  if (!NAMES.includes(name)) continue;
  const path = `${RUNTIMES}node_modules/${binary(arch() === "arm64" ? "arm64" : "x64")}`;
  for (const row of [...runSection("verify", ["10000"], path), ...runSection("http", ["node"], path)]) {
    printRow({ ...row, section: "runtimes", measured: `${name}: ${row.measured}` });
  }
}
