// Next.js: app/api/vehicles/[id]/route.ts, with auth.ts in the root of the project. The guarded handler receives the route
// parameters like any route handler.
// Next.js does not expose the client address. If the platform sets it in a header that clients cannot set, such as
// x-real-ip on Vercel, read it from there. Otherwise keys with an allowlist are denied.

import { fetchAuth } from "keybearer/fetch";
import { verifier } from "@/auth";

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
