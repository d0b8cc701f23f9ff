import type { Principal } from "keybearer";
import type { DriverChange, NewDriver } from "./body.js";
import data from "./data/fleets.json" with { type: "json" };
import { ApiError } from "./errors.js";

interface Driver extends NewDriver {
  readonly id: string;
}
interface Fleet {
  readonly vehicles: readonly (typeof data.live)["acme-haulage"]["vehicles"][number][];
  readonly drivers: Driver[];
  readonly hos: readonly {
    readonly driverId: string;
    readonly dutyStatus: string;
    readonly clocks: object;
    readonly logs: readonly object[];
    readonly violations: readonly object[];
  }[];
}

/** Creates the fleets of `data/fleets.json` in memory: for each company one in production and one in the sandbox. */
export function createFleets() {
  const fleets = new Map<string, Fleet>();
  for (const [environment, companies] of Object.entries(structuredClone(data))) {
    for (const [company, fleet] of Object.entries(companies)) {
      fleets.set(`${environment} ${company}`, fleet as Fleet);
    }
  }

  /** Returns the fleet of a company in the environment of the key. */
  function of({ environment, ownerId }: Principal): Fleet {
    const name = `${environment} ${ownerId}`;
    const fleet = fleets.get(name) ?? { vehicles: [], drivers: [], hos: [] };
    fleets.set(name, fleet);
    return fleet;
  }

  return {
    vehicles: (auth: Principal) =>
      of(auth).vehicles.map(({ id, name, vin, licensePlate }) => ({ id, name, vin, licensePlate })),
    locations: (auth: Principal) =>
      of(auth).vehicles.map(({ id, name, location }) => ({ id, name, location })),
    stats: (auth: Principal) => of(auth).vehicles.map(({ id, name, stats }) => ({ id, name, stats })),
    vehicle: (auth: Principal, id: string) => found(of(auth).vehicles.find((vehicle) => vehicle.id === id)),

    drivers: (auth: Principal) => of(auth).drivers,
    driver: (auth: Principal, id: string) => found(of(auth).drivers.find((driver) => driver.id === id)),
    addDriver(auth: Principal, driver: NewDriver): Driver {
      const added = { id: `drv_${crypto.randomUUID().slice(0, 8)}`, ...driver };
      of(auth).drivers.push(added);
      return added;
    },
    changeDriver(auth: Principal, id: string, change: DriverChange): Driver {
      const driver = found(of(auth).drivers.find((driver) => driver.id === id));
      return Object.assign(driver, change);
    },

    hours: (auth: Principal) => of(auth).hos,
    hoursOf: (auth: Principal, driverId: string) =>
      found(of(auth).hos.find((hours) => hours.driverId === driverId)),
  };
}

/** @throws ApiError 404, the same for items of other companies and for items that do not exist. */
function found<T>(item: T | undefined): T {
  if (item === undefined) throw new ApiError(404, "There is nothing with this id.");
  return item;
}
