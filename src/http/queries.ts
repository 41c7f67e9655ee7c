import { z } from 'zod';
import type { Domain, DomainIndex } from '../core/domain.js';
import { contentOf } from '../core/fold-projection.js';
import type { Projection } from '../core/projection.js';
import type { Query } from '../core/query.js';
import { shortText } from '../core/text.js';
import type { EventStore } from '../event-store/event-store.js';
import type { ReadStore, StoredDocument } from '../read-store/read-store.js';
import { cursor, cursorOf, freshness, limit, positionFreshness } from './parameters.js';
import { HttpProblem } from './problems.js';
import { makeCollectionLag, makeDocumentReader, waitUntil } from './read-your-writes.js';
import { defineRoute, type Answer, type JsonSchema, type Route } from './route.js';
import { jsonSchema, pageOf } from './schemas.js';

export type QueryDeps = {
  readonly domains: DomainIndex;
  readonly eventStore: Pick<EventStore, 'readStream' | 'readAll' | 'headPosition' | 'storeId'>;
  readonly readStore: Pick<ReadStore, 'read' | 'list' | 'checkpoint'>;
};

/** A stored document as other programs see it. */
const visible = ({ _id, ...fields }: StoredDocument): Record<string, unknown> => ({ id: _id, ...fields });

const operationId = (query: Query): string =>
  query.name.replaceAll(/[.\-_](\w)/g, (_match, letter: string) => letter.toUpperCase());

const documentSchema = (query: Query, projection: Projection): JsonSchema =>
  jsonSchema(
    query.document.extend({
      id: z.string(),
      ...(projection.kind === 'keyed' ? { version: z.int().min(1) } : {}),
    }),
  );

const isSame = (ifNoneMatch: unknown, etag: string): boolean =>
  typeof ifNoneMatch === 'string' && ifNoneMatch.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag);

/** The GET routes that the domains' queries describe. @throws Error a query names a projection that cannot answer it */
export const queryRoutes = (deps: QueryDeps): readonly Route[] => {
  const getRoute = (query: Query & { kind: 'get' }, domain: Domain, projection: Projection): Route =>
    defineRoute({
      method: 'GET',
      path: query.path,
      operationId: operationId(query),
      summary: query.summary,
      tag: domain.aggregateType,
      pathParameters: z.strictObject({ id: shortText }),
      queryParameters: z.strictObject(freshness),
      responses: {
        200: { description: 'The document; ETag is its version', schema: documentSchema(query, projection) },
        304: { description: 'It still has the version of If-None-Match' },
      },
      problems: [400, 404, 503, 504],
      handle: async ({ path, query: parameters, headers, signal }): Promise<Answer> => {
        const { minVersion = 0, afterPosition = 0, wait = 0 } = parameters;
        const wanted = { minVersion, afterPosition };
        const reader = makeDocumentReader(deps, domain, projection.name, path.id, wanted);
        await waitUntil(reader.lag, wait, signal);
        const document = reader.document();
        if (!document || !contentOf(document))
          throw new HttpProblem(404, 'NOT_FOUND', `${projection.name} has no document ${path.id}`);
        const etag = `"${document.version ?? 0}"`;
        if (isSame(headers['if-none-match'], etag)) return { status: 304, headers: { etag } };
        return { status: 200, headers: { etag }, body: visible(document) };
      },
    });

  const listRoute = (query: Query & { kind: 'list' }, domain: Domain, projection: Projection): Route => {
    const filters = Object.fromEntries(
      Object.entries(query.filters).map(([name, schema]) => [name, schema.optional()]),
    );
    return defineRoute({
      method: 'GET',
      path: query.path,
      operationId: operationId(query),
      summary: query.summary,
      tag: domain.aggregateType,
      pathParameters: z.strictObject({}),
      queryParameters: z.strictObject({ limit, cursor: cursor.optional(), ...positionFreshness, ...filters }),
      responses: { 200: { description: 'A page', schema: pageOf(documentSchema(query, projection)) } },
      problems: [400, 503, 504],
      handle: async ({ query: parameters, signal }): Promise<Answer> => {
        const { limit, cursor: afterId, afterPosition = 0, wait = 0, ...rest } = parameters;
        const filter = Object.fromEntries(
          Object.entries(rest).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
        );
        const lag = makeCollectionLag(deps, { domain, projection, wanted: afterPosition }, signal);
        await waitUntil(lag, wait, signal);
        // One more than asked for tells whether there is a next page.
        const page = { filter, limit: limit + 1, ...(afterId === undefined ? {} : { afterId }) };
        const found = await deps.readStore.list(projection.name, page);
        const items = found.slice(0, limit);
        const last = found.length > limit ? items.at(-1) : undefined;
        const shown = items.filter((document) => contentOf(document) !== null);
        return { status: 200, body: { items: shown.map(visible), next: last ? cursorOf(last._id) : null } };
      },
    });
  };

  return deps.domains.domains.flatMap((domain) =>
    domain.queries.map((query) => {
      const projection = domain.projections.find(({ name }) => name === query.projection);
      if (!projection) {
        throw new Error(`Query ${query.name} reads ${query.projection}, no projection of ${domain.aggregateType}`);
      }
      if (query.kind === 'get' && projection.kind !== 'keyed') {
        throw new Error(`Query ${query.name} asks for one document, so ${query.projection} must be keyed`);
      }
      return query.kind === 'get' ? getRoute(query, domain, projection) : listRoute(query, domain, projection);
    }),
  );
};
