import Database from "libsql";
import { expect, it } from "vitest";
import { freshPlace, json, run } from "./command.js";

it("lists the readable keys, and names the others", async () => {
  const place = freshPlace();
  await json(place, ["migrate"]);
  const ids: string[] = [];
  for (const owner of ["acme", "globex"]) {
    const { key } = (await json(place, ["create", "--owner", owner, "--scope", "vehicles:read"])) as {
      key: { id: string };
    };
    ids.push(key.id);
  }
  const database = new Database(place.url.slice("sqlite:".length));
  database.exec(`update keybearer_keys set scopes = '[' where id = '${ids[1]}'`);
  database.close();
  const { code, stdout, stderr } = await run(place, ["list", "--json"]);
  expect({ code, ids: JSON.parse(stdout).map(({ id }: { id: string }) => id) }).toEqual({
    code: 0,
    ids: [ids[0]],
  });
  expect(stderr).toContain(`${ids[1]} cannot be read and is not listed.`);
});
