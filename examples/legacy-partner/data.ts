import type { Company } from "./partners.js";

const VEHICLES = [
  {
    companyId: 7,
    position: {
      vin: "1FUJGLDR5CLBP8834",
      utcTimestamp: "2026-06-20T14:03:11Z",
      latitude: 41.8781,
      longitude: -87.6298,
    },
    info: { name: "Truck 102", plateNumber: "IL-1234AB", trailers: "TR-55", odometer: 481233 },
    engine: { ignition: true, engineHH: 5123.4, fuel: 68, rpm: 1450 },
    timers: {
      driverName: "John",
      driverSurname: "Doe",
      statusAbbreviation: "ON",
      statusDesctiption: "On Duty", // spelled like this on the wire
      minsTillBreak: 45,
      minsTillDriving: 210,
      minsTillShift: 330,
      minsTillCycle: 1880,
      hosUtcTimestamp: "2026-06-20T14:02:55Z",
    },
    earlier: [
      { utcTimestamp: "2026-06-20T13:33:09Z", latitude: 41.7606, longitude: -87.5706 },
      { utcTimestamp: "2026-06-20T13:48:10Z", latitude: 41.8236, longitude: -87.6084 },
    ],
  },
  {
    companyId: 7,
    position: {
      vin: "3AKJHHDR7JSJV5521",
      utcTimestamp: "2026-06-20T14:01:40Z",
      latitude: 39.7684,
      longitude: -86.1581,
    },
    info: { name: "Truck 103", plateNumber: "IL-5678CD", trailers: "", odometer: 210045.5 },
    engine: { ignition: false, engineHH: 2210.9, fuel: 31.5, rpm: 0 },
    earlier: [],
  },
  {
    companyId: 8,
    position: {
      vin: "1M2AX04C5EM018877",
      utcTimestamp: "2026-06-20T13:58:02Z",
      latitude: 44.9778,
      longitude: -93.265,
    },
    info: { name: "Roll-off 7", plateNumber: "MN-9071RO", trailers: "", odometer: 98120 },
    engine: { ignition: true, engineHH: 7402.1, fuel: 54, rpm: 900 },
    earlier: [{ utcTimestamp: "2026-06-20T13:43:00Z", latitude: 44.9537, longitude: -93.09 }],
  },
];

const WASTE_JOBS = [
  {
    companyId: 8,
    job: {
      id: "WJ-1017",
      vin: "1M2AX04C5EM018877",
      container: "C-17",
      material: "Glass",
      weightKg: 640,
      status: "Completed",
      utcCompletedOn: "2026-06-20T08:20:00Z",
    },
  },
];

/** Returns the data of one company. */
export const partnerData = {
  /** Current positions. */
  assets: (company: Company, additionalInfo: boolean) =>
    of(company, VEHICLES).map(({ position, info }) => (additionalInfo ? { ...position, ...info } : position)),
  /** Earlier and current positions, oldest first. */
  breadcrumbs: (company: Company) =>
    of(company, VEHICLES).flatMap(({ position, earlier }) => [
      ...earlier.map((breadcrumb) => ({ vin: position.vin, ...breadcrumb })),
      position,
    ]),
  /** Assets with a driver, and the remaining hours of service. */
  timers: (company: Company) =>
    of(company, VEHICLES)
      .filter(({ timers }) => timers !== undefined)
      .map(({ position, info, engine, timers }) => ({ ...position, ...info, ...engine, ...timers })),
  wasteJobs: (company: Company) => of(company, WASTE_JOBS).map(({ job }) => job),
};

function of<T extends { readonly companyId: number }>({ id }: Company, items: readonly T[]): T[] {
  return items.filter(({ companyId }) => companyId === id);
}
