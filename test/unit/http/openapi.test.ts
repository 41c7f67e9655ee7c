import { expect } from 'chai';
import { httpRoutes } from '../../../src/http/server.js';
import { domains } from '../../../src/domains/registry.js';
import { makeMemoryReadStore } from '../../../src/read-store/memory-read-store.js';
import { domainIndex, eventsInArray, makeFixture } from './http-fixture.js';

type Json = Readonly<Record<string, unknown>>;
type Parameter = { name: string; in: string; required: boolean; schema: Json };
type Operation = {
  operationId: string;
  parameters: Parameter[];
  requestBody?: { content: Record<string, { schema: { oneOf: Json[] } }> };
  responses: Record<string, { description: string; content?: Record<string, { schema: Json }> }>;
};
type Document = {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Json> };
};

const document = async (): Promise<Document> => (await makeFixture().app.inject('/openapi.json')).json();
const operationsOf = ({ paths }: Document): Operation[] => Object.values(paths).flatMap((item) => Object.values(item));

const refsIn = (value: unknown): string[] =>
  typeof value !== 'object' || value === null
    ? []
    : Object.entries(value).flatMap(([key, inner]) => (key === '$ref' ? [String(inner)] : refsIn(inner)));

describe('GET /openapi.json', () => {
  it('describes every route', async () => {
    const routes = httpRoutes({
      domains: domainIndex,
      bus: { publish: async () => [], request: async () => Buffer.alloc(0) },
      eventStore: eventsInArray([]),
      readStore: makeMemoryReadStore(),
      newId: () => 'id',
      now: () => new Date(0),
      maxMessageBytes: 1,
      isAlive: () => ({ stuck: [], eventLoopDelayMs: 0 }),
      isReady: () => ({ ready: true, degraded: false, detail: {} }),
      metrics: async () => ({ contentType: 'text/plain', body: '' }),
    });
    const expected = routes.map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
    const { paths } = await document();
    const listed = Object.entries(paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(listed).to.have.members(expected);
    expect(listed).to.include.members([
      'POST /commands',
      'GET /users/{id}',
      'GET /users',
      'GET /orders/{id}',
      'GET /orders',
      'GET /orders/statistics',
      'GET /events',
      'GET /streams/{aggregateType}/{aggregateId}',
      'GET /healthz',
      'GET /readyz',
      'GET /metrics',
      'GET /openapi.json',
    ]);
  });

  it('is sound: version 3.1, unique operation ids, path parameters declared, references that lead somewhere', async () => {
    const whole = await document();
    expect(whole.openapi).to.match(/^3\.1\./);
    const ids = operationsOf(whole).map(({ operationId }) => operationId);
    expect(new Set(ids).size).to.equal(ids.length);
    for (const [path, item] of Object.entries(whole.paths)) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      for (const operation of Object.values(item)) {
        const declared = operation.parameters.filter((parameter) => parameter.in === 'path');
        expect(declared.map(({ name }) => name)).to.have.members(inPath);
        expect(declared.every(({ required }) => required)).to.equal(true);
        expect(operation.parameters.every(({ schema }) => 'type' in schema || 'enum' in schema)).to.equal(true);
        expect(Object.values(operation.responses).every(({ description }) => description.length > 0)).to.equal(true);
      }
    }
    for (const target of refsIn(whole)) {
      expect(whole.components.schemas).to.have.property(target.replace('#/components/schemas/', ''));
    }
  });

  it('describes every command by the schema that checks it', async () => {
    const schemas = (await document()).paths['/commands']?.['post']?.requestBody?.content['application/json']?.schema
      .oneOf;
    const types = schemas?.map(
      (schema) => (schema as { properties: { type: { const: string } } }).properties.type.const,
    );
    expect(types).to.have.members(domains.flatMap((domain) => Object.keys(domain.commands)));
    const create = schemas?.find((schema) => JSON.stringify(schema).includes('"user.create"'));
    expect(create).to.deep.include({ required: ['type', 'aggregateId', 'payload'], additionalProperties: false });
    expect(create).to.have.nested.property('properties.payload.required').deep.equal(['email', 'name']);
  });

  it('shows numbers as numbers, choices as choices and problems as problem documents', async () => {
    const { paths } = await document();
    const list = paths['/orders']?.['get'];
    const parameter = (name: string) => list?.parameters.find((one) => one.name === name)?.schema;
    expect(parameter('limit')).to.include({ type: 'integer', minimum: 1, maximum: 500, default: 100 });
    expect(parameter('status')).to.have.property('enum').that.includes('paid');
    expect(list?.responses['400']?.content).to.have.property('application/problem+json');
  });
});
