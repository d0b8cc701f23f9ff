import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunningExample } from "../../examples/example.js";
import { start } from "../../examples/metrics/main.js";

let system: RunningExample;
let key: string;
let metricsKey: string;

beforeAll(async () => {
  system = await start();
  ({ key, metricsKey } = system.credentials as unknown as { key: string; metricsKey: string });
});
afterAll(() => system.close());

async function get(path: string, bearer?: string) {
  const headers = bearer === undefined ? {} : { Authorization: `Bearer ${bearer}` };
  const response = await fetch(system.credentials.url + path, { headers });
  return { status: response.status, type: response.headers.get("Content-Type"), text: await response.text() };
}

/** Returns the samples of a metric in the exposition format, by their labels. */
function samples(text: string, name: string): Record<string, number> {
  const found: Record<string, number> = {};
  for (const line of text.split("\n")) {
    const [, metric, labels = "", value] = /^([a-z_]+)\{(.*)\} (\S+)$/.exec(line) ?? [];
    if (metric !== name) continue;
    const own = labels.split(",").filter((label) => label.startsWith("keybearer_"));
    found[own.map((label) => label.replace(/^keybearer_/, "").replaceAll('"', "")).join(" ")] = Number(value);
  }
  return found;
}

describe("metrics", () => {
  it("are served only to keys with metrics:read", async () => {
    expect(await get("/metrics")).toMatchObject({ status: 401 });
    expect(await get("/metrics", key)).toMatchObject({ status: 403 });
    const { status, type } = await get("/metrics", metricsKey);
    expect(status).toBe(200);
    expect(type).toMatch(/^text\/plain/);
  });

  it("count decisions, and requests that would be denied", async () => {
    const before = (await get("/metrics", metricsKey)).text;
    expect((await get("/vehicles", key)).status).toBe(200);
    expect((await get("/vehicles", key)).status).toBe(200);
    for (let i = 0; i < 3; i++) expect((await get("/locations", key)).status).toBe(200);
    expect((await get("/vehicles")).status).toBe(401);
    expect((await get("/vehicles", "junk")).status).toBe(401);
    const { text } = await get("/metrics", metricsKey);

    const grown = (name: string) => {
      const [old, now] = [samples(before, name), samples(text, name)];
      const rows = Object.entries(now).map(
        ([labels, value]) => [labels, value - (old[labels] ?? 0)] as const,
      );
      return Object.fromEntries(rows.filter(([, value]) => value !== 0));
    };
    const live = "store=memory environment=live";
    expect(grown("keybearer_auth_decisions_total")).toEqual({
      [`${live} outcome=allowed`]: 6, // including this scrape
      "store=memory outcome=missing_credential reason=missing_credential": 1,
      "store=memory outcome=invalid_key reason=unrecognized_format": 1,
    });
    expect(grown("keybearer_auth_would_deny_total")).toEqual({ [`${live} reason=insufficient_scope`]: 3 });
    expect(samples(text, "keybearer_auth_over_limit_total")["environment=live"]).toBeGreaterThanOrEqual(2);
    expect(grown("keybearer_auth_duration_count")).toMatchObject({ [`${live} outcome=allowed`]: 6 });
    expect(samples(text, "keybearer_key_changes_total")).toEqual({ "store=memory action=created": 2 });
  });

  it("contain no secret, owner, address or key id", async () => {
    const { text } = await get("/metrics", metricsKey);
    for (const secret of [key, metricsKey]) {
      expect(text).not.toContain(secret);
      expect(text).not.toContain(secret.slice(-38, -6));
    }
    expect(text).not.toMatch(/acme|127\.0\.0\.1|key_[0-9a-z]{16}/i);
  });
});
