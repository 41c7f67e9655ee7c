import { z } from 'zod';
import type { DomainIndex } from '../core/domain.js';
import type { RecordedEvent } from '../core/message.js';
import { shortText } from '../core/text.js';
import { shownAs } from '../core/upcast.js';
import { storedTypesOf } from '../core/upcaster.js';
import type { EventStore } from '../event-store/event-store.js';
import { freshness, limit, position, positionFreshness } from './parameters.js';
import { HttpProblem } from './problems.js';
import { headLag, waitUntil, type Lag } from './read-your-writes.js';
import { defineRoute, type Route } from './route.js';
import { pageOf, ref } from './schemas.js';

export type EventDeps = {
  readonly domains: DomainIndex;
  readonly eventStore: Pick<EventStore, 'readStream' | 'readAll' | 'headPosition'>;
};

/** The wire shape, member by member: what a driver adds to a document stays inside. */
const visible = (event: RecordedEvent) => ({
  id: event.id,
  type: event.type,
  aggregateType: event.aggregateType,
  aggregateId: event.aggregateId,
  version: event.version,
  position: event.position,
  schemaVersion: event.schemaVersion,
  payload: event.payload,
  metadata: event.metadata,
  timestamp: event.timestamp,
});

/** Up to `limit` events, and whether more follow; the iterable gives one more than `limit` if so. */
const takePage = async (events: AsyncIterable<RecordedEvent>, limit: number) => {
  const items: RecordedEvent[] = [];
  for await (const event of events) {
    if (items.length === limit) return { items, hasMore: true };
    items.push(event);
  }
  return { items, hasMore: false };
};

/** `type=a&type=b` and `type=a,b` are the same. */
const typesParameter = (known: readonly string[]) =>
  z
    .union([z.string(), z.array(z.string())])
    .transform((given, context) => {
      const types = [given].flat().flatMap((part) => part.split(','));
      const unknown = types.filter((type) => !known.includes(type));
      if (unknown.length === 0) return types;
      context.addIssue(`there is no event type ${unknown.join(', ')}; there are ${known.join(', ')}`);
      return z.NEVER;
    })
    .meta({
      description: 'Types as they are stored; an event that was stored under an old name is found by that',
      type: 'array',
      items: { type: 'string', enum: [...known] },
    });

const since = z.iso
  .datetime({ offset: true, error: 'must be a time such as 2026-01-31T12:00:00Z' })
  .transform((text) => new Date(text))
  .meta({ type: 'string', format: 'date-time' });

/** What was written, straight from the event store. */
export const eventRoutes = ({ domains, eventStore }: EventDeps): readonly Route[] => {
  const knownTypes = domains.domains.flatMap(storedTypesOf);
  /** A stored event is shown whole: `limit` and `next` count those, of which each may be none or several now. */
  const shown = (stored: readonly RecordedEvent[]) => stored.flatMap((event) => shownAs(domains, event)).map(visible);

  const events = defineRoute({
    method: 'GET',
    path: '/events',
    operationId: 'listEvents',
    summary: 'Events of the whole store by position',
    tag: 'events',
    pathParameters: z.strictObject({}),
    queryParameters: z.strictObject({
      after: position.default(0),
      type: typesParameter(knownTypes).optional(),
      since: since.optional(),
      limit,
      ...positionFreshness,
    }),
    responses: {
      200: {
        description: 'A page; `next` is the `after` of the page that follows, null after the last',
        schema: pageOf(ref('Event')),
      },
    },
    problems: [400, 503, 504],
    handle: async ({ query, signal }) => {
      const { after, type, since, limit, afterPosition = 0, wait = 0 } = query;
      if (afterPosition > 0) await waitUntil(() => headLag(eventStore, afterPosition), wait, signal);
      const { items, hasMore } = await takePage(
        eventStore.readAll({
          afterPosition: after,
          limit: limit + 1,
          ...(type ? { types: type } : {}),
          ...(since ? { since } : {}),
        }),
        limit,
      );
      const next = hasMore ? String(items.at(-1)?.position) : null;
      return { status: 200, body: { items: shown(items), next } };
    },
  });

  const stream = defineRoute({
    method: 'GET',
    path: '/streams/:aggregateType/:aggregateId',
    operationId: 'readStream',
    summary: 'Events of one aggregate by version',
    tag: 'events',
    pathParameters: z.strictObject({ aggregateType: shortText, aggregateId: shortText }),
    queryParameters: z.strictObject({ afterVersion: position.default(0), limit, ...freshness }),
    responses: {
      200: {
        description: 'A page; `next` is the `afterVersion` of the page that follows, null after the last',
        schema: pageOf(ref('Event')),
      },
    },
    problems: [400, 404, 503, 504],
    handle: async ({ path, query, signal }) => {
      const { afterVersion, limit, minVersion = 0, afterPosition = 0, wait = 0 } = query;
      const read = (after: number, count: number) =>
        takePage(eventStore.readStream(path, { afterVersion: after, limit: count + 1 }), count);

      let found = 0;
      const lag = async (): Promise<Lag | null> => {
        const missing = afterPosition === 0 ? null : await headLag(eventStore, afterPosition);
        if (missing || minVersion === 0) return missing;
        // Only what came since the last look: a wait must not read a long stream again and again.
        for await (const event of eventStore.readStream(path, { afterVersion: found })) found = event.version;
        if (found >= minVersion) return null;
        return { of: 'version', wanted: minVersion, found, behind: minVersion - found };
      };
      await waitUntil(lag, wait, signal);

      const { items, hasMore } = await read(afterVersion, limit);
      // An empty page is the end of a stream, or no stream: only its first event tells.
      if (items.length === 0 && (afterVersion === 0 || (await read(0, 1)).items.length === 0)) {
        throw new HttpProblem(404, 'NOT_FOUND', `There is no stream ${path.aggregateType}/${path.aggregateId}`);
      }
      const next = hasMore ? String(items.at(-1)?.version) : null;
      return { status: 200, body: { items: shown(items), next } };
    },
  });

  return [events, stream];
};
