import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { keyStoreContract } from "keybearer/testing";
import { fileStore } from "./store.js";

const create = async () => {
  const directory = await mkdtemp(join(tmpdir(), "keybearer-"));
  const store = await fileStore(join(directory, "keys.json"));
  return { store, close: () => store.close().then(() => rm(directory, { recursive: true })) };
};
for (const { name, run } of keyStoreContract(create, { claims: false })) test(name, run);
