import type { FastifyInstance } from 'fastify';
import { indexDomains } from '../../../src/core/domain.js';
import type { RecordedEvent } from '../../../src/core/message.js';
import { domains } from '../../../src/domains/registry.js';
import type { EventStore } from '../../../src/event-store/event-store.js';
import { makeApp } from '../../../src/http/app.js';
import type { Readiness } from '../../../src/http/health.js';
import { httpRoutes, type HttpServerDeps } from '../../../src/http/server.js';
import type { LivenessState } from '../../../src/liveness.js';
import { makeLogger } from '../../../src/logger.js';
import type { OutgoingMessage, PublishOutcome } from '../../../src/messaging/message-bus.js';
import { makeMemoryReadStore } from '../../../src/read-store/memory-read-store.js';
import type { StoredDocument } from '../../../src/read-store/read-store.js';

const storeId = 'store-1';
export const at = new Date('2026-01-31T12:00:00.000Z');
export const maxMessageBytes = 2048;

export const domainIndex = indexDomains(domains);

/** The event at a position; what a test does not name is filled in. */
export const eventAt = (position: number, given: Partial<RecordedEvent> = {}): RecordedEvent => ({
  id: `event-${position}`,
  type: 'user.created',
  payload: { email: 'ann@example.org', name: 'Ann' },
  aggregateType: 'user',
  aggregateId: 'u-1',
  version: 1,
  position,
  schemaVersion: 1,
  metadata: { commandId: `c-${position}`, correlationId: `c-${position}`, causationId: `c-${position}` },
  timestamp: at,
  ...given,
});

type ReadSide = Pick<EventStore, 'readStream' | 'readAll' | 'headPosition' | 'storeId' | 'typeVersions'>;

/** The reading half of an event store over an array, so that a test can place events where it wants them. */
export const eventsInArray = (events: readonly RecordedEvent[]): ReadSide => ({
  async *readStream(stream, { afterVersion = 0, limit = Infinity } = {}) {
    const found = events.filter(
      (event) => event.aggregateType === stream.aggregateType && event.aggregateId === stream.aggregateId,
    );
    yield* found.filter((event) => event.version > afterVersion).slice(0, limit);
  },
  async *readAll({ afterPosition = 0, toPosition = Infinity, types, since, limit = Infinity } = {}) {
    const found = events.filter(
      (event) =>
        event.position > afterPosition &&
        event.position <= toPosition &&
        (!types || types.includes(event.type)) &&
        (!since || event.timestamp >= since),
    );
    yield* found.slice(0, limit);
  },
  headPosition: async () => events.at(-1)?.position ?? 0,
  storeId: async () => storeId,
  typeVersions: async () => [],
});

export type Fixture = {
  readonly app: FastifyInstance;
  readonly published: OutgoingMessage[];
  readonly events: RecordedEvent[];
  /** What the broker says to the next publishes. */
  readonly broker: { outcome: PublishOutcome; request: (message: OutgoingMessage) => Promise<Buffer> };
  readonly health: { alive: LivenessState; now: Readiness };
  putDocument(collection: string, document: StoredDocument): Promise<void>;
  putCheckpoint(name: string, position: number, from: number | null, ofStore?: string): Promise<void>;
};

/** The whole HTTP face over memory, without a port. `overrides` replace what a test wants to see fail. */
export const makeFixture = (overrides: Partial<HttpServerDeps> = {}): Fixture => {
  const published: OutgoingMessage[] = [];
  const events: RecordedEvent[] = [];
  const readStore = makeMemoryReadStore();
  const broker: Fixture['broker'] = {
    outcome: 'confirmed',
    request: () => Promise.reject(new Error('no reply was set up')),
  };
  const health: Fixture['health'] = {
    alive: { stuck: [], eventLoopDelayMs: 3 },
    now: { ready: true, degraded: false, detail: {} },
  };
  const log = makeLogger('silent');
  const routes = httpRoutes({
    domains: domainIndex,
    bus: {
      publish: async (messages) => {
        published.push(...messages);
        return messages.map(() => broker.outcome);
      },
      request: async (message) => {
        published.push(message);
        return broker.request(message);
      },
    },
    eventStore: eventsInArray(events),
    readStore,
    newId: () => 'made-id',
    now: () => at,
    maxMessageBytes,
    isAlive: () => health.alive,
    isReady: () => health.now,
    metrics: async () => ({ contentType: 'text/plain; version=0.0.4', body: 'warren_up 1\n' }),
    ...overrides,
  });
  return {
    app: makeApp({ log, routes, maxBodyBytes: maxMessageBytes }),
    published,
    events,
    broker,
    health,
    putDocument: async (collection, document) => {
      await readStore.write({ documents: [{ collection, document, onlyIf: 'any' }] });
    },
    putCheckpoint: async (name, position, from, ofStore = storeId) => {
      await readStore.write({
        documents: [],
        checkpoint: { name, onlyIf: from, checkpoint: { position, storeId: ofStore } },
      });
    },
  };
};
