import type { Company } from "./partners.js";

const DATA = {
  locations: [
    {
      companyId: 7,
      vehicle: "TRK-101",
      latitude: 52.37,
      longitude: 4.9,
      utcSeenOn: "2026-02-14T11:02:00.000Z",
    },
    {
      companyId: 8,
      vehicle: "BIN-204",
      latitude: 59.91,
      longitude: 10.75,
      utcSeenOn: "2026-02-14T10:41:00.000Z",
    },
  ],
  cargo: [
    { companyId: 7, vehicle: "TRK-101", goods: "Flowers", weightKg: 4200 },
    { companyId: 8, vehicle: "BIN-204", goods: "Paper", weightKg: 1800 },
  ],
  waste: [
    {
      companyId: 8,
      container: "C-17",
      kind: "Glass",
      weightKg: 640,
      utcCollectedOn: "2026-02-13T08:20:00.000Z",
    },
  ],
  hos: [{ companyId: 7, driver: "Ada Smit", status: "driving", minutesLeft: 185 }],
};

/** The data of one company. */
export const partnerData = {
  locations: (company: Company) => of(company, DATA.locations),
  cargo: (company: Company) => of(company, DATA.cargo),
  waste: (company: Company) => of(company, DATA.waste),
  hos: (company: Company) => of(company, DATA.hos),
};

function of<T extends { readonly companyId: number }>({ id }: Company, items: readonly T[]): T[] {
  return items.filter(({ companyId }) => companyId === id);
}
