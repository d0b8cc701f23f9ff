// Next.js: this is app/api/vehicles/[id]/route.ts. A route handler takes the request and the parameters of its route,
// and so does what `auth` makes. Next.js tells no address of the client; where a platform writes one into a
// header that clients cannot set, such as x-real-ip on Vercel, name it, or keys with an allowlist are refused.

import { fetchAuth } from "keybearer/fetch";
import { verifier } from "./auth.js";

interface Route {
  readonly params: Promise<{ readonly id: string }>;
}

const auth = fetchAuth(verifier, {
  remoteAddress: (request) =>
    process.env.VERCEL ? (request.headers.get("x-real-ip") ?? undefined) : undefined,
});

export const GET = auth("vehicles:read", async (_request, { auth: holder }, { params }: Route) => {
  const { id } = await params;
  return Response.json({ id, owner: holder.ownerId });
});

export const PATCH = auth("vehicles:write", async (request, { auth: holder }, { params }: Route) => {
  const { id } = await params;
  return Response.json({ id, owner: holder.ownerId, change: await request.json() });
});
