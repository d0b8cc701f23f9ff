import type { Principal } from "keybearer";
import type { DriverChange, NamedDriverChange, NewDriver } from "./body.js";
import data from "./data/fleet.json" with { type: "json" };
import { FleetError } from "./errors.js";

/**
 * Creates the data of `data/fleet.json` in memory. Every function reads and changes the data of one company, the owner of
 * the key.
 */
export function createFleet() {
  const drivers = data.drivers.map((driver) => ({ ...driver }));

  const fleet = {
    vehicles: (company: string) => ({ vehicles: of(company, data.vehicles) }),
    drivers: (company: string) => ({ drivers: of(company, drivers) }),
    hours: (company: string) => ({ hos: of(company, data.hos) }),
    inspections: (company: string) => ({ inspections: of(company, data.inspections) }),

    addDriver(company: string, driver: NewDriver) {
      const added = { id: `drv_${drivers.length + 1}`, company, ...driver, status: "active" };
      drivers.push(added);
      return added;
    },

    changeDriver(company: string, id: string, change: DriverChange) {
      // The error is the same for drivers of other companies, so that their ids cannot be probed.
      const driver = of(company, drivers).find((driver) => driver.id === id);
      if (driver === undefined) throw new FleetError(404, "driver_not_found", "There is no such driver.");
      return Object.assign(driver, change);
    },

    changeNamedDriver: (company: string, { id, ...change }: NamedDriverChange) =>
      fleet.changeDriver(company, id, change),
  };
  return fleet;
}

function of<T extends { readonly company: string }>(company: string, items: readonly T[]): T[] {
  return items.filter((item) => item.company === company);
}

/** Returns the view of a key for its holder: without hash and allowlist. */
export function me({ key, scopes }: Principal) {
  if (key === undefined) throw new Error("The fleet API accepts API keys only");
  const { id, ownerId, name, start, environment, status, createdAt, expiresAt, lastUsedAt } = key;
  return { id, ownerId, name, start, environment, scopes, status, createdAt, expiresAt, lastUsedAt };
}
