import { z } from 'zod';
import { STATUS_CODES } from 'node:http';
import { defineRoute, type JsonSchema, type Route } from './route.js';
import { eventSchema, jsonSchema, problemSchema, ref, replySchema } from './schemas.js';

/** `/users/:id` → `/users/{id}` */
const template = (path: string): string => path.replaceAll(/:(\w+)/g, '{$1}');

const parametersOf = (place: 'path' | 'query', parameters: z.ZodObject): readonly JsonSchema[] =>
  Object.entries(jsonSchema(parameters)['properties'] as Readonly<Record<string, JsonSchema>>).map(
    ([name, schema]) => ({
      name,
      in: place,
      required: place === 'path',
      schema,
    }),
  );

const problemResponse = (status: number): JsonSchema => ({
  description: STATUS_CODES[status] ?? 'Error',
  content: { 'application/problem+json': { schema: ref('Problem') } },
});

const operationOf = (route: Route): JsonSchema => ({
  operationId: route.operationId,
  summary: route.summary,
  tags: [route.tag],
  parameters: [...parametersOf('path', route.pathParameters), ...parametersOf('query', route.queryParameters)],
  ...(route.requestBody
    ? { requestBody: { required: true, content: { 'application/json': { schema: route.requestBody } } } }
    : {}),
  responses: {
    ...Object.fromEntries(
      Object.entries(route.responses).map(([status, { description, schema, contentType }]) => [
        status,
        { description, ...(schema ? { content: { [contentType ?? 'application/json']: { schema } } } : {}) },
      ]),
    ),
    ...Object.fromEntries([...route.problems, 500].map((status) => [String(status), problemResponse(status)])),
  },
});

/** OpenAPI 3.1, made from the routes and the zod schemas that they use. */
const openApiDocument = (routes: readonly Route[]): JsonSchema => {
  const paths: Record<string, Record<string, JsonSchema>> = {};
  for (const route of routes) {
    (paths[template(route.path)] ??= {})[route.method.toLowerCase()] = operationOf(route);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Warren',
      version: '1',
      description: 'Post commands, read what became of them. Errors are RFC 9457 problem documents.',
    },
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    tags: [...new Set(routes.map((route) => route.tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: {
        Reply: jsonSchema(replySchema),
        Event: jsonSchema(eventSchema),
        Problem: jsonSchema(problemSchema),
      },
    },
  };
};

/** The routes with one more, which describes them and itself. */
export const withOpenApi = (routes: readonly Route[]): readonly Route[] => {
  const all: Route[] = [...routes];
  let document: JsonSchema | undefined;
  all.push(
    defineRoute({
      method: 'GET',
      path: '/openapi.json',
      operationId: 'openApi',
      summary: 'This description',
      tag: 'health',
      pathParameters: z.strictObject({}),
      queryParameters: z.strictObject({}),
      responses: { 200: { description: 'OpenAPI 3.1', schema: { type: 'object' } } },
      problems: [],
      handle: async () => ({ status: 200, body: (document ??= openApiDocument(all)) }),
    }),
  );
  return all;
};
