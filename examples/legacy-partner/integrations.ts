import { randomBytes } from "node:crypto";
import {
  type ApiKey,
  hashSecret,
  type KeyHash,
  type KeyManager,
  type ManagedKeyStore,
  type VerifiableRecord,
} from "keybearer";
import { ApiError, noIntegration } from "./errors.js";
import { type Company, MODULES, type Module, type PartnerScope } from "./partners.js";

/** A row of the table of integrations. Its ClientKey is a key of keybearer. */
interface Row {
  readonly id: string;
  readonly company: Company;
  readonly integrator: number;
  readonly issuedBy: string;
  allowedData: readonly number[];
  active: boolean;
  /** Deleted integrations are only listed. */
  isDeleted: boolean;
  key?: ApiKey;
}

export type Integrations = ReturnType<typeof createIntegrations>;

/** Creates the integrations of all companies, in memory. Every function works on those of one company. */
export function createIntegrations(keys: KeyManager<PartnerScope>, store: ManagedKeyStore) {
  const rows = new Map<string, Row>();

  const find = (company: Company, match: (row: Row) => boolean): Row => {
    const found = [...rows.values()].filter((row) => row.company === company && !row.isDeleted && match(row));
    const row = found.find(({ active }) => active) ?? found[0];
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
        .map((row) => view(row));
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
      rows.set(id, row); // before the first await, so that a concurrent request gets the 409
      try {
        const { secret, key } = await keys.create(
          { ownerId: String(company.id), scopes: scopesOf(allowedData), metadata: { integration: id } },
          { actor: issuedBy },
        );
        row.key = key;
        return view(row, secret);
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
        throw new ApiError(400, "invalid_request", "The partner of an integration cannot change.");
      }
      if (allowedData !== undefined) assertBooked(company, allowedData);
      if (active === true && !row.active) {
        assertFree(company, row.integrator);
        row.active = true; // before the first await, as in `create`
        await keys.enable(keyOf(row).id, { actor });
      }
      if (active === false) {
        await keys.disable(keyOf(row).id, { actor });
        row.active = false;
      }
      if (allowedData !== undefined) row.allowedData = allowedData;
      return view(row);
    },

    async remove(company: Company, id: string, clientKey: unknown, actor: string) {
      const row = find(company, (row) => row.id === id);
      // Only the hash is stored, so the ClientKey of the request is looked up by its hash.
      const isSecret = typeof clientKey === "string" && clientKey !== "";
      const record = isSecret ? await store.findByHash(hashSecret(clientKey)) : undefined;
      const { id: keyId } = keyOf(row);
      if (record?.id !== keyId) throw noIntegration();
      await keys.revoke(keyId, { actor });
      row.active = false;
      row.isDeleted = true;
      return view(row);
    },

    /**
     * The store for verifiers. The scopes of a stored key cannot change, but the modules of an integration can, so each
     * record is returned with the scopes of the current modules.
     */
    currentKeys: {
      findByHash: async (hash: KeyHash) => withCurrentScopes(await store.findByHash(hash)),
      findById: async (id: string) => withCurrentScopes(await store.findById(id)),
    },
  };

  function withCurrentScopes<R extends VerifiableRecord>(record: R | null | undefined): R | undefined {
    if (!record) return undefined;
    const row = rows.get(String(record.metadata?.integration));
    return { ...record, scopes: row === undefined ? [] : scopesOf(row.allowedData) };
  }
}

/** Returns an integration as clients see it: with the ClientKey if it is new, otherwise with its first characters. */
function view(row: Row, clientKey?: string) {
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

/** @throws ApiError 404 while the key is being created. */
function keyOf({ key }: Row): ApiKey {
  if (key === undefined) throw noIntegration();
  return key;
}

function scopesOf(modules: readonly number[]): PartnerScope[] {
  return modules.map((number) => moduleOf(number).scope);
}

function moduleOf(number: number): Module {
  const module = MODULES.get(number);
  if (module === undefined) throw new Error(`Unknown module ${number}`);
  return module;
}

/** @throws ApiError 403 if the company does not have the feature of a module. */
function assertBooked({ features }: Company, modules: readonly number[]): void {
  for (const number of modules) {
    const { needs } = moduleOf(number);
    if (needs !== undefined && !features.includes(needs)) {
      throw new ApiError(403, "feature_required", `Module ${number} needs the feature ${needs}.`);
    }
  }
}
