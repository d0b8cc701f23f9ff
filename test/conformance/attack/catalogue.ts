import type { Attack } from "./attack.js";
import { errorAttacks } from "./catalogue/errors.js";
import { headerAttacks } from "./catalogue/headers.js";
import { jwtAttacks } from "./catalogue/jwt.js";
import { keyAttacks } from "./catalogue/keys.js";
import { lifecycleAttacks } from "./catalogue/lifecycle.js";
import { loadAttacks } from "./catalogue/load.js";
import { managementAttacks } from "./catalogue/management.js";
import { networkAttacks } from "./catalogue/network.js";
import { routeAttacks } from "./catalogue/routes.js";
import { scopeAttacks } from "./catalogue/scopes.js";

/** All attacks. */
export const attacks: readonly Attack[] = [
  ...headerAttacks,
  ...keyAttacks,
  ...scopeAttacks,
  ...networkAttacks,
  ...lifecycleAttacks,
  ...routeAttacks,
  ...errorAttacks,
  ...managementAttacks,
  ...jwtAttacks,
  ...loadAttacks,
];
