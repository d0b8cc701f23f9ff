import { ApiError } from "./errors.js";

export type Tier = "free" | "starter" | "pro";

/** The owner of keys. */
export interface Account {
  readonly id: string;
  readonly tier: Tier;
  readonly monthlyAllowance: number;
  creditsRemaining: number;
}

/** The tiers that include each feature. */
const FEATURES = { reports: ["pro"] } as const satisfies Record<string, readonly Tier[]>;

export type Accounts = ReturnType<typeof createAccounts>;

export function createAccounts() {
  const accounts: readonly Account[] = [
    { id: "studio", tier: "pro", monthlyAllowance: 50_000, creditsRemaining: 50_000 },
    { id: "hobby", tier: "free", monthlyAllowance: 500, creditsRemaining: 500 },
  ];

  const get = (id: string): Account => {
    const account = accounts.find((account) => account.id === id);
    if (account === undefined) throw new ApiError(403, "no_account", "The account does not exist any more.");
    return account;
  };

  return {
    get,
    list: (): readonly Account[] => accounts,

    /** @throws ApiError 403 if the tier of the account does not include the feature. */
    requireFeature(id: string, feature: keyof typeof FEATURES): void {
      const tiers: readonly Tier[] = FEATURES[feature];
      if (!tiers.includes(get(id).tier)) {
        throw new ApiError(403, "tier_required", `This feature requires the plan ${tiers.join(" or ")}`);
      }
    },

    /**
     * Spends one credit and returns the remaining number.
     *
     * @throws ApiError 402 if no credit is left.
     */
    spend(id: string): number {
      const account = get(id);
      if (account.creditsRemaining < 1) {
        throw new ApiError(402, "out_of_credits", "Please top up or upgrade your plan");
      }
      account.creditsRemaining -= 1;
      return account.creditsRemaining;
    },
  };
}
