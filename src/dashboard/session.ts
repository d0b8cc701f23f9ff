import type { ConnectionInfo } from "../http/handler.js";
import { toAuthRequest } from "../http/handler.js";
import { parseDuration } from "../internal/duration.js";
import { clientIpResolver, type Principal } from "../kit.js";
import { callHost } from "../management/host-call.js";
import type { PreparedDashboard } from "./options.js";
import type { PortalPerson } from "./portal.js";
import type { PersonBody, ScopeBody, SessionBody } from "./session-body.js";
import { checkPerson } from "./signed-in.js";

/** Finds the person of a request, and describes the page to them. */
export interface Sessions<S extends string> {
  /** Returns the person in the session of the host, or else in that of a portal link. */
  find(request: Request): Promise<PortalPerson<S> | undefined>;
  /** Whether the host knows the person. Its session goes before that of a portal link. */
  isHostSession(request: Request): Promise<boolean>;
  describe(
    person: PortalPerson<S> | undefined,
    principal: Principal<S> | undefined,
    request: Request,
    connection: ConnectionInfo | undefined,
  ): Promise<SessionBody>;
}

export function createSessions<S extends string>(options: PreparedDashboard<S>): Sessions<S> {
  const { keys, signedIn, portal, trustedProxies } = options;
  const { title, logo, signInUrl, messages = {} } = options;
  const clientIp = clientIpResolver(trustedProxies === undefined ? {} : { trustedProxies });
  const maxLifetime = parseDuration(keys.maxLifetime);

  const fromHost = async (request: Request): Promise<PortalPerson<S> | undefined> => {
    if (signedIn === undefined) return undefined;
    // A copy without the body, which the page reads itself.
    const copy = new Request(request.url, { headers: request.headers });
    const person = await callHost('The function "signedIn"', () => signedIn(copy));
    return person === undefined || person === null
      ? undefined
      : checkPerson('createDashboard: "signedIn"', person);
  };

  const scopeBody = (name: S, principal: Principal<S>): ScopeBody => {
    const { description, status } = keys.scopes.get(name) ?? {};
    const implies = keys.scopes.names.filter((other) => other !== name && keys.scopes.holds([name], other));
    const planned = status === "planned";
    return { name, description, implies, planned, grantable: !planned && principal.can(name) };
  };

  return {
    async find(request) {
      return (await fromHost(request)) ?? (await portal?.find(request.headers));
    },

    async isHostSession(request) {
      return (await fromHost(request)) !== undefined;
    },

    async describe(person, principal, request, connection) {
      const page = { title, logo, signInUrl, messages };
      if (person === undefined || principal === undefined) return { ...page, person: null };
      const defaults = options.defaults;
      const body: PersonBody = {
        actor: person.actor,
        returnUrl: person.returnUrl,
        clientIp: clientIp(toAuthRequest(request, connection))?.text,
        environments: keys.environments ?? [],
        scopes: keys.scopes.names.map((name) => scopeBody(name, principal)),
        presets: options.presets ?? [],
        maxLifetime,
        rateLimits: options.rateLimits === true,
        defaults:
          defaults === undefined ? {} : await callHost('The function "defaults"', () => defaults(principal)),
      };
      return { ...page, person: body };
    },
  };
}
