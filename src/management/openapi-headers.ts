import { IDEMPOTENCY_KEY } from "./idempotency.js";
import type { Route, RouteName } from "./routes.js";

type Json = Record<string, unknown>;

/** The headers of every response. */
export const REQUEST_ID: Json = {
  "X-Request-Id": { description: "The id of this request in logs", schema: { type: "string" } },
};

/** Describes the headers that a request of a route may have. */
export function headerParameters({ idempotencyKey, ifMatch }: Route): Json[] {
  const parameter = (name: string, description: string, schema: Json): Json[] => [
    { name, in: "header", required: false, description, schema },
  ];
  const key = { type: "string", minLength: 1, maxLength: 255, pattern: IDEMPOTENCY_KEY.source };
  const repeated =
    "A random string of the client. A repeated request with it returns the first response again, for 24 hours";
  return [
    ...(idempotencyKey ? parameter("Idempotency-Key", repeated, key) : []),
    ...(ifMatch ? parameter("If-Match", "The ETag of the key as you read it", { type: "string" }) : []),
  ];
}

const ISSUED: Json = {
  Location: { description: "The path of the key", schema: { type: "string" } },
  "Idempotent-Replayed": {
    description: "true if this is the stored response to an earlier request with the Idempotency-Key",
    schema: { type: "string", enum: ["true"] },
  },
};
const TAG: Json = {
  ETag: { description: "The version of the key, for If-Match", schema: { type: "string" } },
};
const TAGGED: readonly RouteName[] = ["get", "update", "disable", "enable"];

/** Describes the headers of a successful response. */
export function responseHeaders({ name, status }: Route): Json {
  return { ...REQUEST_ID, ...(status === 201 && ISSUED), ...(TAGGED.includes(name) && TAG) };
}
