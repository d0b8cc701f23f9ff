import type * as z from "zod";
import { type Requirement, requiredScopes } from "../kit.js";
import { jsonSchema } from "./json-schema.js";
import type { PreparedOptions } from "./options.js";
import type { Presentation, PresentedName } from "./presenter.js";
import { PROBLEMS, type ProblemCode, problem } from "./problems.js";
import { pathOfRoute } from "./router.js";
import { ROUTES, type Route, type RouteName } from "./routes.js";
import type { QuerySchemas, RequestSchemas } from "./schemas.js";

type Json = Record<string, unknown>;

/** What every route that is not open to everybody can answer, whatever it does. */
const AUTHENTICATED: readonly ProblemCode[] = [
  "invalid_query",
  "missing_credential",
  "malformed_credential",
  "invalid_key",
  "wrong_environment",
  "ip_not_allowed",
  "rate_limited",
  "internal_error",
  "unavailable",
];
const OPEN: readonly ProblemCode[] = ["invalid_query", "internal_error"];
const WITH_BODY: readonly ProblemCode[] = ["invalid_body", "body_too_large", "unsupported_media_type"];

/** Whose words the answer of a route is in. */
const PRESENTED: Readonly<Record<Exclude<RouteName, "openapi">, PresentedName>> = {
  list: "list",
  create: "created",
  get: "updated",
  update: "updated",
  revoke: "revoked",
  rotate: "rotated",
  disable: "updated",
  enable: "updated",
  audit: "audit",
  me: "me",
};

/** Components are named after what they are, so that generated clients read well. */
const SCHEMA_NAMES: Readonly<Record<PresentedName | keyof RequestSchemas, string>> = {
  key: "ApiKey",
  me: "Me",
  created: "IssuedApiKey",
  rotated: "RotatedApiKey",
  list: "ApiKeyPage",
  audit: "AuditPage",
  updated: "ApiKey",
  revoked: "RevokedApiKey",
  error: "Error",
  create: "CreateApiKey",
  update: "UpdateApiKey",
  rotate: "RotateApiKey",
  revoke: "RevokeApiKey",
  none: "Nothing",
};

/**
 * Makes the OpenAPI 3.1 document from the route table and the schemas that serve requests. It is made when it is
 * first asked for, and the same from then on.
 */
export function createDocument<S extends string>(
  options: PreparedOptions<S>,
  present: Presentation,
  { bodies, queries }: { bodies: RequestSchemas; queries: QuerySchemas },
): () => object {
  let made: object | undefined;
  return () => {
    made ??= build(options, present, bodies, queries);
    return made;
  };
}

function build<S extends string>(
  options: PreparedOptions<S>,
  present: Presentation,
  bodies: RequestSchemas,
  queries: QuerySchemas,
): object {
  const { basePath, paths, routes, requires, info } = options;
  const schemas: Record<string, Json> = {};
  const refer = (name: string, schema: z.ZodType | undefined): Json => {
    schemas[name] ??= schema === undefined ? { type: "object" } : jsonSchema(schema, name);
    return { $ref: `#/components/schemas/${name}` };
  };
  const served = ROUTES.filter(({ name }) => routes.has(name));
  const items: Record<string, Json> = {};
  for (const route of served) {
    const path = pathOfRoute(route, basePath, paths);
    items[path] ??= {};
    items[path][route.method.toLowerCase()] = {
      operationId: OPERATION_IDS[route.name],
      summary: route.summary,
      ...security(route, requires),
      parameters: [...pathParameters(route), ...queryParameters(queries[route.query ?? "none"])],
      ...requestBody(route, bodies, refer),
      responses: {
        [route.status]: success(route, present, refer),
        ...errors(route, requires, present, refer),
      },
    };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: info.title ?? "API keys",
      version: info.version ?? "1.0.0",
      ...(info.description !== undefined && { description: info.description }),
    },
    paths: items,
    components: {
      schemas,
      securitySchemes: { bearer: { type: "http", scheme: "bearer" } },
    },
  };
}

const OPERATION_IDS: Readonly<Record<RouteName, string>> = {
  list: "listApiKeys",
  create: "createApiKey",
  get: "getApiKey",
  update: "updateApiKey",
  revoke: "revokeApiKey",
  rotate: "rotateApiKey",
  disable: "disableApiKey",
  enable: "enableApiKey",
  audit: "listAuditTrail",
  me: "getMe",
  openapi: "getOpenApi",
};

function security(route: Route, requires: { read?: Requirement; write?: Requirement }): Json {
  const required = route.needs === "read" || route.needs === "write" ? requires[route.needs] : undefined;
  const names = requiredScopes(required);
  const anyOf = typeof required === "object" && !Array.isArray(required);
  return {
    ...(names.length > 0 && {
      description: `Needs ${anyOf && names.length > 1 ? "one of the scopes" : "the scope"} ${names.join(", ")}.`,
    }),
    security: route.needs === "nothing" ? [] : [{ bearer: [] }],
  };
}

function pathParameters({ item }: Route): Json[] {
  if (item === undefined) return [];
  const schema = { type: "string", minLength: 1, maxLength: 255 };
  return [{ name: "id", in: "path", required: true, description: "The id of the key", schema }];
}

function queryParameters(query: z.ZodObject): Json[] {
  return Object.entries(query.shape).map(([name, member]) => {
    const { description, ...schema } = jsonSchema(member as z.ZodType);
    return { name, in: "query", required: false, ...(description !== undefined && { description }), schema };
  });
}

function requestBody(
  { body }: Route,
  bodies: RequestSchemas,
  refer: (name: string, schema: z.ZodType) => Json,
): Json {
  if (body === undefined) return {};
  const schema = refer(SCHEMA_NAMES[body], bodies[body]);
  const required = !bodies[body].safeParse({}).success;
  return { requestBody: { required, content: { "application/json": { schema } } } };
}

function success(
  route: Route,
  present: Presentation,
  refer: (name: string, schema: z.ZodType | undefined) => Json,
): Json {
  const name = route.name === "openapi" ? undefined : PRESENTED[route.name];
  const schema = name === undefined ? { type: "object" } : refer(SCHEMA_NAMES[name], present.schemaOf(name));
  const location = { Location: { description: "The path of the key", schema: { type: "string" } } };
  return {
    description: route.status === 201 ? "Created" : "OK",
    headers: { ...REQUEST_ID, ...(route.status === 201 && location) },
    content: { "application/json": { schema } },
  };
}

const REQUEST_ID = {
  "X-Request-Id": { description: "Names this request in logs", schema: { type: "string" } },
};

/** Every status that can occur, found by wording a problem of each code as a request would. */
function errors(
  route: Route,
  requires: { read?: Requirement; write?: Requirement },
  present: Presentation,
  refer: (name: string, schema: z.ZodType | undefined) => Json,
): Json {
  const codes = new Set(route.needs === "nothing" ? OPEN : AUTHENTICATED);
  if (route.needs === "read" || route.needs === "write") {
    codes.add(requires[route.needs] === undefined ? "api_key_not_allowed" : "insufficient_scope");
  }
  for (const code of route.body === undefined ? [] : WITH_BODY) codes.add(code);
  for (const code of route.problems) codes.add(code);

  const byStatus: Record<string, Json> = {};
  for (const code of codes) {
    const { status, message, details } = problem(code, EXAMPLE_DETAILS[code]);
    const answer = present.error({ status, code, message, requestId: EXAMPLE_ID, details });
    const response = byStatus[answer.status] ?? errorResponse(refer, present);
    byStatus[answer.status] = response;
    const { examples } = (response.content as { "application/json": { examples: Json } })["application/json"];
    examples[code] = { value: answer.body };
    response.description = `${response.description}${response.description === "" ? "" : " "}${PROBLEMS[code][1]}`;
  }
  return byStatus;
}

function errorResponse(
  refer: (name: string, schema: z.ZodType | undefined) => Json,
  present: Presentation,
): Json {
  const schema = refer(SCHEMA_NAMES.error, present.schemaOf("error"));
  return {
    description: "",
    headers: REQUEST_ID,
    content: { "application/json": { schema, examples: {} } },
  };
}

const EXAMPLE_ID = "3f0c2a9e-6f0b-4a52-9d0c-9b8f5a1f7f33";
const EXAMPLE_DETAILS: Readonly<Partial<Record<ProblemCode, Json>>> = {
  invalid_body: { errors: [{ path: "name", message: "must be a text" }] },
  invalid_query: { errors: [{ path: "limit", message: "must be at least 1" }] },
};
