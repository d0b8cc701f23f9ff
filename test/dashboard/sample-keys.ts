import type { ManagedKeyStore } from "../../src/kit.js";
import { createKeyManager } from "../../src/kit.js";
import { format, type SiteScope, scopes } from "./site.js";

const DAY = 86_400_000;
const HOUR = 3_600_000;

/** Adds keys as a company has them after some months. */
export async function addSampleKeys(store: ManagedKeyStore, ownerId = "acme"): Promise<void> {
  const add = async (
    name: string,
    hoursAgo: number,
    granted: readonly SiteScope[],
    {
      environment = "live" as "live" | "test",
      expires = 0,
      used = 0,
      networks = undefined as readonly string[] | undefined,
    } = {},
  ) => {
    const created = new Date(Date.now() - hoursAgo * HOUR);
    const manager = createKeyManager({ store, scopes, format, clock: () => created });
    const { key } = await manager.create(
      {
        ownerId,
        name,
        scopes: granted,
        environment,
        ...(networks && { ipAllowlist: networks }),
        ...(expires > 0 && { expiresAt: new Date(Date.now() + expires * DAY) }),
      },
      "mia@acme.example",
    );
    if (used > 0) await store.touch(new Map([[key.id, new Date(Date.now() - used * 60_000)]]));
    return key.id;
  };
  const now = createKeyManager({ store, scopes, format });
  const at = (hoursAgo: number) =>
    createKeyManager({ store, scopes, format, clock: () => new Date(Date.now() - hoursAgo * HOUR) });
  const by = { actor: "ina@acme.example" };

  const contractor = await add("Contractor laptop", 4_800, ["vehicles:write", "drivers:write"], {
    used: 90_000,
  });
  await now.revoke(contractor, { reason: "The contract ended", ...by });
  await add("Nightly backup", 2_900, ["vehicles:read", "drivers:read"], {
    expires: 21,
    used: 540,
    networks: ["203.0.113.0/24"],
  });
  const legacy = await add("Legacy importer", 2_200, ["vehicles:write"], { used: 40_000 });
  await now.disable(legacy, { by: "owner", actor: "mia@acme.example" });
  await add("Grafana", 1_400, ["vehicles:read", "drivers:read"], { expires: 60, used: 3 });
  await add("Partner: Nordlog", 700, ["vehicles:read"], {
    expires: 180,
    used: 26,
    networks: ["198.51.100.7"],
  });
  await add("Staging", 300, ["vehicles:write", "drivers:write", "webhooks:manage"], {
    environment: "test",
    used: 4_000,
  });
  const production = await add(
    "Production API",
    160,
    ["vehicles:write", "drivers:write", "webhooks:manage"],
    {
      used: 1,
      networks: ["203.0.113.0/24", "2001:db8::/48"],
    },
  );
  await at(120).update(production, { ipAllowlist: ["203.0.113.0/24", "2001:db8::/48"] }, by);
  await at(100).update(production, { name: "Production API" }, by);
  await at(6).rotate(production, { overlap: "24h", actor: "mia@acme.example" });
}
