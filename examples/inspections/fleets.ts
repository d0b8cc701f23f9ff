import type { NewInspection, NewVehicle, VehicleChange } from "./body.js";
import data from "./data.json" with { type: "json" };
import { ApiError } from "./errors.js";

/** Creates the data of `data.json` in memory. Every function reads and changes the data of one company only. */
export function createFleets() {
  const vehicles: Vehicle[] = data.vehicles.map((vehicle) => ({ ...vehicle }));
  const inspections: Inspection[] = [...data.inspections];

  const vehicleOf = (company: string, id: string): Vehicle => {
    const vehicle = of(company, vehicles).find((vehicle) => vehicle.id === id);
    // The error is the same for vehicles of other companies, so that their ids cannot be probed.
    if (vehicle === undefined) throw new ApiError(404, "not_found", "Vehicle not found");
    return vehicle;
  };

  return {
    vehicles: (company: string) => of(company, vehicles).map(view),
    vehicle: (company: string, id: string) => view(vehicleOf(company, id)),

    addVehicle(
      company: string,
      { vin = null, brand = null, model = null, fuelType = null, ...more }: NewVehicle,
    ) {
      const { plateNumber, type = "TRACTOR_UNIT" } = more;
      if (of(company, vehicles).some((vehicle) => vehicle.plateNumber === plateNumber)) {
        throw new ApiError(409, "conflict", "A vehicle with this plate number exists");
      }
      const id = crypto.randomUUID();
      const updatedAt = new Date().toISOString();
      const vehicle = {
        company,
        id,
        plateNumber,
        vin,
        brand,
        model,
        type,
        status: "NO_STATUS",
        fuelType,
        updatedAt,
      };
      vehicles.push(vehicle);
      return view(vehicle);
    },

    changeVehicle(company: string, id: string, change: VehicleChange) {
      const updatedAt = new Date().toISOString();
      return view(Object.assign(vehicleOf(company, id), change, { updatedAt }));
    },

    templates: () => data.templates,
    inspections: (company: string) => of(company, inspections).map(view),

    addInspection(company: string, { templateId, vehicleIds, responses, notes }: NewInspection) {
      if (!data.templates.some(({ id }) => id === templateId)) {
        throw new ApiError(404, "not_found", "Inspection template not found");
      }
      const inspected = vehicleIds.map((id) => vehicleOf(company, id));
      const inspection = {
        company,
        id: crypto.randomUUID(),
        templateId,
        status: "COMPLETED",
        performedAt: new Date().toISOString(),
        vehicles: inspected.map(({ id, plateNumber }) => ({ id, plateNumber })),
        responses,
        notes: notes ?? null,
      };
      inspections.push(inspection);
      return view(inspection);
    },
  };
}

interface Vehicle {
  readonly company: string;
  readonly id: string;
  readonly plateNumber: string;
  readonly vin: string | null;
  readonly brand: string | null;
  readonly model: string | null;
  readonly type: string;
  readonly status: string;
  readonly fuelType: string | null;
  readonly updatedAt: string;
}

interface Inspection {
  readonly company: string;
  readonly id: string;
  readonly templateId: string;
  readonly status: string;
  readonly performedAt: string;
  readonly vehicles: readonly { readonly id: string; readonly plateNumber: string }[];
  readonly responses: readonly { readonly templateItemId: string; readonly responseText: string }[];
  readonly notes: string | null;
}

function of<T extends { readonly company: string }>(company: string, items: readonly T[]): T[] {
  return items.filter((item) => item.company === company);
}

/** Returns an item without the company, which the client knows. */
function view<T extends { readonly company: string }>({ company: _, ...more }: T): Omit<T, "company"> {
  return more;
}
