import type { KeyManager } from "keybearer";
import { createDashboard, type Dashboard, memoryPortalStore, type RequestHandler } from "keybearer/dashboard";
import type { FleetScope } from "./setup.js";

/** The page where the admins of a company manage its keys. The fleet API has no sessions, so links sign them in. */
export interface KeyPage {
  /** Serves `/keys`. */
  readonly handler: RequestHandler;
  /** Sets the URL of the server, which is known when it listens. */
  open(url: string): void;
  /** Returns a link for an admin of a company. It can be opened once, within 15 minutes. */
  linkFor(company: string): Promise<string>;
}

export function createKeyPage(keys: KeyManager<FleetScope>): KeyPage {
  let page: Dashboard<FleetScope> | undefined;
  return {
    handler: async (request, connection) =>
      page === undefined ? new Response(null, { status: 503 }) : page(request, connection),
    open(url) {
      page = createDashboard({
        keys,
        title: "Keys of the fleet API",
        portalStore: memoryPortalStore(),
        publicUrl: `${url}/keys/`,
        onError: console.error,
      });
    },
    async linkFor(company) {
      if (page === undefined) throw new Error("The server does not listen yet");
      return page.portalUrl({ ownerId: company, actor: `admin@${company}.example` });
    },
  };
}
