import { randomBytes } from "node:crypto";
import {
  type ApiKey,
  hashSecret,
  type KeyHash,
  type KeyManager,
  type ManagedKeyStore,
  type VerifiableRecord,
} from "keybearer";
import { ApiError, noIntegration } from "./failure.js";
import { type Company, MODULES, type Module, type PartnerScope } from "./partners.js";

/** What the table of integrations has. The ClientKey is not in it: that is a key of the library. */
interface Row {
  readonly id: string;
  readonly company: Company;
  readonly integrator: number;
  readonly issuedBy: string;
  allowedData: readonly number[];
  active: boolean;
  /** Deleted for good: shown in the list, and nowhere else. */
  isDeleted: boolean;
  key?: ApiKey;
}

export type Integrations = ReturnType<typeof createIntegrations>;

/** The integrations of all companies. Every function takes the company that asks, and works on its own only. */
export function createIntegrations(manager: KeyManager<PartnerScope>, keys: ManagedKeyStore) {
  const rows = new Map<string, Row>();

  const find = (company: Company, match: (row: Row) => boolean): Row => {
    const row = [...rows.values()].find((row) => row.company === company && !row.isDeleted && match(row));
    if (row === undefined) throw noIntegration();
    return row;
  };

  const assertFree = (company: Company, integrator: number) => {
    for (const row of rows.values()) {
      if (row.company === company && row.integrator === integrator && row.active) {
        throw new ApiError(409, "already_integrated", "The company has an integration with this partner.");
      }
    }
  };

  return {
    list(company: Company, filter: { readonly active?: boolean; readonly integrator?: number }) {
      const { active, integrator } = filter;
      return [...rows.values()]
        .filter((row) => row.company === company && row.key !== undefined)
        .filter((row) => active === undefined || row.active === active)
        .filter((row) => integrator === undefined || row.integrator === integrator)
        .map((row) => shown(row));
    },

    async create(
      company: Company,
      { integrator, allowedData }: { readonly integrator: number; readonly allowedData: readonly number[] },
      issuedBy: string,
    ) {
      assertBooked(company, allowedData);
      assertFree(company, integrator);
      const id = randomBytes(12).toString("hex");
      const row: Row = { id, company, integrator, issuedBy, allowedData, active: true, isDeleted: false };
      rows.set(id, row); // before anything is waited for: a second request finds the partner taken
      try {
        const { secret, key } = await manager.create(
          { ownerId: String(company.id), scopes: scopesOf(allowedData), metadata: { integration: id } },
          issuedBy,
        );
        row.key = key;
        return shown(row, secret);
      } catch (error) {
        rows.delete(id);
        throw error;
      }
    },

    async change(
      company: Company,
      change: {
        readonly id?: string | undefined;
        readonly integrator?: number | undefined;
        readonly allowedData?: readonly number[] | undefined;
        readonly active?: boolean | undefined;
      },
      actor: string,
    ) {
      const { id, integrator, allowedData, active } = change;
      const row = find(company, (row) => (id === undefined ? row.integrator === integrator : row.id === id));
      if (integrator !== undefined && integrator !== row.integrator) {
        throw new ApiError(400, "invalid_request", "The partner of an integration does not change.");
      }
      if (allowedData !== undefined) assertBooked(company, allowedData);
      if (active === true && !row.active) {
        assertFree(company, row.integrator);
        row.active = true; // before anything is waited for, as above
        await manager.enable(keyOf(row).id, { actor });
      }
      if (active === false) {
        await manager.disable(keyOf(row).id, { actor });
        row.active = false;
      }
      if (allowedData !== undefined) row.allowedData = allowedData;
      return shown(row);
    },

    async remove(company: Company, id: string, clientKey: unknown, actor: string) {
      const row = find(company, (row) => row.id === id);
      // The store knows the hash of a ClientKey only; it is enough to tell whether this is the one.
      const isText = typeof clientKey === "string" && clientKey !== "";
      const named = isText ? await keys.findByHash(hashSecret(clientKey)) : undefined;
      const { id: keyId } = keyOf(row);
      if (named?.id !== keyId) throw noIntegration();
      await manager.revoke(keyId, { actor });
      row.active = false;
      row.isDeleted = true;
      return shown(row);
    },

    /**
     * The keys as verifiers are to see them. The scopes of a key are fixed at its creation, but the modules of an
     * integration are not: a key has the scopes of those that it is allowed now.
     */
    current: {
      findByHash: async (hash: KeyHash) => withModules(await keys.findByHash(hash)),
      findById: async (id: string) => withModules(await keys.findById(id)),
    },
  };

  function withModules<R extends VerifiableRecord>(record: R | null | undefined): R | undefined {
    if (!record) return undefined;
    const row = rows.get(String(record.metadata?.integration));
    return { ...record, scopes: row === undefined ? [] : scopesOf(row.allowedData) };
  }
}

/** An integration as the wire has it. Its ClientKey is seen once; later only how it begins. */
function shown(row: Row, clientKey?: string) {
  const { start, createdAt } = keyOf(row);
  return {
    id: row.id,
    companyId: row.company.id,
    integrator: row.integrator,
    allowedData: row.allowedData,
    clientKey: clientKey ?? start.padEnd(32, "*"),
    utcIssuedOn: createdAt,
    issuedBy: row.issuedBy,
    active: row.active,
  };
}

function keyOf({ key }: Row): ApiKey {
  if (key === undefined) throw noIntegration(); // it is still being made
  return key;
}

function scopesOf(modules: readonly number[]): PartnerScope[] {
  return modules.map((number) => moduleOf(number).scope);
}

function moduleOf(number: number): Module {
  const module = MODULES.get(number);
  if (module === undefined) throw new Error(`No module has the number ${number}`);
  return module;
}

/** @throws ApiError 403 for a module that the company has not booked. */
function assertBooked({ features }: Company, modules: readonly number[]): void {
  for (const number of modules) {
    const { needs } = moduleOf(number);
    if (needs !== undefined && !features.includes(needs)) {
      throw new ApiError(403, "feature_required", `Module ${number} needs the feature ${needs}.`);
    }
  }
}
