import type { Principal } from "keybearer";
import type { DriverChange, NamedDriverChange, NewDriver } from "./body.js";
import data from "./data/fleet.json" with { type: "json" };
import { FleetError } from "./failure.js";

/**
 * A fleet in memory, fresh from `data/fleet.json`: what the API is about. It knows companies, and nothing of keys or
 * HTTP. Each function takes the company that asks, which is the
 * owner of the key, and shows it what is its own.
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
      // Another company's driver is as unknown as one that does not exist.
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

/** What the holder of a key may know of it: neither its hash nor the networks that it is limited to. */
export function me({ key, scopes }: Principal) {
  if (key === undefined) throw new Error("The fleet API knows API keys only");
  const { id, ownerId, name, start, environment, status, createdAt, expiresAt, lastUsedAt } = key;
  return { id, ownerId, name, start, environment, scopes, status, createdAt, expiresAt, lastUsedAt };
}
