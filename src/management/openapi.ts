import type * as z from "zod";
import { type Requirement, requiredScopes, type Verifier } from "../kit.js";
import { createProblem, PROBLEMS, type ProblemCode } from "./error-codes.js";
import { jsonSchema } from "./json-schema.js";
import { headerParameters, REQUEST_ID, responseHeaders } from "./openapi-headers.js";
import { securityOf, securitySchemes } from "./openapi-security.js";
import type { PreparedOptions } from "./options.js";
import type { PreparedPresenter, PresenterFunction } from "./presenter.js";
import type { BodySchemas, QuerySchemas } from "./request-schemas.js";
import { routePath } from "./router.js";
import { ROUTES, type Route, type RouteName } from "./routes.js";

type Json = Record<string, unknown>;

/** Error codes of every route that needs a credential. */
const AUTHENTICATED_CODES: readonly ProblemCode[] = [
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
const PUBLIC_CODES: readonly ProblemCode[] = ["invalid_query", "internal_error"];
const BODY_CODES: readonly ProblemCode[] = ["invalid_body", "body_too_large", "unsupported_media_type"];

/** The presenter function that formats the response of a route. */
const PRESENTER_FUNCTIONS: Readonly<Record<Exclude<RouteName, "openapi">, PresenterFunction>> = {
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

/** Names of the components. Generated clients use them as type names. */
const SCHEMA_NAMES: Readonly<Record<PresenterFunction | keyof BodySchemas, string>> = {
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
 * Creates the OpenAPI 3.1 document from the route table and the schemas that validate requests. It is built on the
 * first call and cached.
 */
export function createDocument<S extends string>(
  options: PreparedOptions<S>,
  presenter: PreparedPresenter,
  { bodies, queries }: { bodies: BodySchemas; queries: QuerySchemas },
): () => object {
  let document: object | undefined;
  return () => {
    document ??= buildDocument(options, presenter, bodies, queries);
    return document;
  };
}

function buildDocument<S extends string>(
  options: PreparedOptions<S>,
  presenter: PreparedPresenter,
  bodies: BodySchemas,
  queries: QuerySchemas,
): object {
  const { basePath, paths, routes, requires, verifier, keyVerifier, openapi } = options;
  const { info, servers = [{ url: "/" }], tags = [DEFAULT_TAG] } = openapi;
  const schemesFor = (used: Verifier<S>) => openapi.securitySchemes ?? securitySchemes(used);
  const schemas: Record<string, Json> = {};
  const reference = (name: string, schema: z.ZodType | undefined): Json => {
    schemas[name] ??= schema === undefined ? { type: "object" } : jsonSchema(schema, name);
    return { $ref: `#/components/schemas/${name}` };
  };
  const pathItems: Record<string, Json> = {};
  for (const route of ROUTES.filter(({ name }) => routes.has(name))) {
    const path = routePath(route, basePath, paths);
    pathItems[path] ??= {};
    pathItems[path][route.method.toLowerCase()] = {
      operationId: OPERATION_IDS[route.name],
      summary: route.summary,
      tags: tags.map(({ name }) => name),
      ...security(route, requires, Object.keys(schemesFor(route.needs === "key" ? keyVerifier : verifier))),
      parameters: [
        ...pathParameters(route),
        ...headerParameters(route),
        ...queryParameters(queries[route.query ?? "none"]),
      ],
      ...requestBody(route, bodies, reference),
      responses: {
        [route.status]: success(route, presenter, reference),
        ...errors(route, requires, presenter, reference),
      },
    };
  }
  return {
    openapi: "3.1.0",
    info: { ...DEFAULT_INFO, ...info },
    servers,
    tags,
    paths: pathItems,
    components: {
      schemas,
      securitySchemes: { ...schemesFor(verifier), ...(routes.has("me") && schemesFor(keyVerifier)) },
    },
  };
}

const DEFAULT_TAG = { name: "API keys", description: "Create, change, rotate and revoke API keys" };
const DEFAULT_INFO = {
  title: "API keys",
  version: "1.0.0",
  license: { name: "Proprietary", identifier: "LicenseRef-Proprietary" },
};

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

function security(
  route: Route,
  requires: { read?: Requirement; write?: Requirement },
  schemes: readonly string[],
): Json {
  const required = route.needs === "read" || route.needs === "write" ? requires[route.needs] : undefined;
  const names = requiredScopes(required);
  const anyOf = typeof required === "object" && !Array.isArray(required);
  return {
    ...(names.length > 0 && {
      description: `Needs ${anyOf && names.length > 1 ? "one of the scopes" : "the scope"} ${names.join(", ")}.`,
    }),
    security: route.needs === "nothing" ? [] : securityOf(schemes, required),
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
  bodies: BodySchemas,
  reference: (name: string, schema: z.ZodType) => Json,
): Json {
  if (body === undefined) return {};
  const schema = reference(SCHEMA_NAMES[body], bodies[body]);
  const required = !bodies[body].safeParse({}).success;
  return { requestBody: { required, content: { "application/json": { schema } } } };
}

function success(
  route: Route,
  presenter: PreparedPresenter,
  reference: (name: string, schema: z.ZodType | undefined) => Json,
): Json {
  const name = route.name === "openapi" ? undefined : PRESENTER_FUNCTIONS[route.name];
  const schema =
    name === undefined ? { type: "object" } : reference(SCHEMA_NAMES[name], presenter.schemaOf(name));
  return {
    description: route.status === 201 ? "Created" : "OK",
    headers: responseHeaders(route),
    content: { "application/json": { schema } },
  };
}

/** The error responses of a route. The presenter formats an example of each code, which gives its status and body. */
function errors(
  route: Route,
  requires: { read?: Requirement; write?: Requirement },
  presenter: PreparedPresenter,
  reference: (name: string, schema: z.ZodType | undefined) => Json,
): Json {
  const codes = new Set(route.needs === "nothing" ? PUBLIC_CODES : AUTHENTICATED_CODES);
  if (route.needs === "read" || route.needs === "write") {
    codes.add(requires[route.needs] === undefined ? "api_key_not_allowed" : "insufficient_scope");
  }
  for (const code of route.body === undefined ? [] : BODY_CODES) codes.add(code);
  for (const code of route.problems) codes.add(code);

  const byStatus: Record<string, Json> = {};
  for (const code of codes) {
    const { status, message, details } = createProblem(code, EXAMPLE_DETAILS[code]);
    const error = presenter.error({ status, code, message, requestId: EXAMPLE_ID, details });
    const response = byStatus[error.status] ?? errorResponse(reference, presenter);
    byStatus[error.status] = response;
    const { examples } = (response.content as { "application/json": { examples: Json } })["application/json"];
    examples[code] = { value: error.body };
    response.description = `${response.description}${response.description === "" ? "" : " "}${PROBLEMS[code][1]}`;
  }
  return byStatus;
}

function errorResponse(
  reference: (name: string, schema: z.ZodType | undefined) => Json,
  presenter: PreparedPresenter,
): Json {
  const schema = reference(SCHEMA_NAMES.error, presenter.schemaOf("error"));
  return {
    description: "",
    headers: REQUEST_ID,
    content: { "application/json": { schema, examples: {} } },
  };
}

const EXAMPLE_ID = "3f0c2a9e-6f0b-4a52-9d0c-9b8f5a1f7f33";
const EXAMPLE_DETAILS: Readonly<Partial<Record<ProblemCode, Json>>> = {
  invalid_body: { errors: [{ path: "name", message: "must be a string" }] },
  invalid_query: { errors: [{ path: "limit", message: "must be at least 1" }] },
};
